import { random } from '@graftjs/tensor'
import { expect, it } from 'vitest'
import { streamDecoder } from './stream-decoder.ts'
import { tinyGguf } from './tiny-tokenizer.test-util.ts'
import type { Tokenizer } from './tokenizer.ts'
import { tokenizerFromGguf } from './tokenizer-from-gguf.ts'
import { tokenizerFromJson } from './tokenizer-from-json.ts'

const tokenizer = tokenizerFromGguf(tinyGguf())
const pieces = (ids: readonly number[], skipSpecialTokens = true, by: Tokenizer = tokenizer): string[] => {
  const decoder = streamDecoder(by, { skipSpecialTokens })
  return [...ids.map((id) => decoder.push(id)), decoder.flush()]
}

it('waits until a character is whole', () => {
  expect(pieces(tokenizer.encode('a🙂é!'))).toEqual(['a', '', '', '', '🙂', '', 'é', '!', ''])
})
it('shows broken bytes when nothing more can complete them', () => {
  const ids = tokenizer.encode('🙂')
  expect(pieces(ids.slice(0, 3))).toEqual(['', '', '', '\uFFFD'])
  expect(pieces([...ids.slice(0, 3), ...tokenizer.encode('ab')])).toEqual(['', '', '', '\uFFFDa', 'b', ''])
})
it('lets a U+FFFD that was meant through', () => {
  expect(pieces(tokenizer.encode('x\uFFFD\uFFFD\uFFFD\uFFFDy')).join('')).toBe('x\uFFFD\uFFFD\uFFFD\uFFFDy')
})
it('hides or shows special tokens', () => {
  const ids = tokenizer.encode('a<|im_end|>b')
  expect(pieces(ids)).toEqual(['a', '', 'b', ''])
  expect(pieces(ids, false)).toEqual(['a', '<|im_end|>', 'b', ''])
})
it('joins up to what decode says, whatever the ids', () => {
  const draw = random(3, 'ids')
  for (let round = 0; round < 300; round++) {
    const ids = Array.from({ length: draw.int(30) }, () => draw.int(tokenizer.vocabSize))
    const parts = pieces(ids, false)
    expect(parts.join('')).toBe(tokenizer.decode(ids))
  }
})
it('waits for bytes that a decoder shows one by one, and keeps spaces between words', () => {
  const words = [
    '▁the',
    '▁cat',
    ...Array.from({ length: 256 }, (_, b) => `<0x${b.toString(16).toUpperCase().padStart(2, '0')}>`),
  ]
  const sentencePiece = tokenizerFromJson({
    model: {
      type: 'BPE',
      vocab: Object.fromEntries(words.map((word, id) => [word, id])),
      merges: [],
      byte_fallback: true,
    },
    decoder: {
      type: 'Sequence',
      decoders: [
        { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
        { type: 'ByteFallback' },
        { type: 'Fuse' },
        { type: 'Strip', content: ' ', start: 1, stop: 0 },
      ],
    },
  })
  const ids = [0, 1, ...[...new TextEncoder().encode('🙂é')].map((byte) => byte + 2), 1]
  expect(pieces(ids, true, sentencePiece)).toEqual(['the', ' cat', '', '', '', '🙂', '', 'é', ' cat', ''])
})
it('starts afresh after flush', () => {
  const decoder = streamDecoder(tokenizer)
  const ids = tokenizer.encode('é')
  decoder.push(ids[0]!)
  decoder.flush()
  expect(ids.map((id) => decoder.push(id)).join('')).toBe('é')
})
