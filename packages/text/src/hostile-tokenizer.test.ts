import { describe, expect, it } from 'vitest'
import { tinyJson } from './tiny-tokenizer.test-util.ts'
import { tokenizerFromJson } from './tokenizer-from-json.ts'

const { tokenizer: json, config } = tinyJson()
const changed = (change: object): object => ({ ...json, ...change })
const nested = (levels: number, leaf: object): object => {
  let part = leaf
  for (let i = 0; i < levels; i++) part = { type: 'Sequence', pretokenizers: [part] }
  return part
}

// What data-eval-reliability.md D3 lists of tokenizer.json.
describe('a hostile tokenizer.json', () => {
  it.each<[string, object]>([
    ['an id of 2^31 among the added tokens', changed({ added_tokens: [{ id: 2 ** 31, content: 'x', special: true }] })],
    [
      'an id far above the number of tokens',
      changed({ added_tokens: [{ id: 5_000_000, content: 'x', special: true }] }),
    ],
    ['a negative id', changed({ model: { ...json.model, vocab: { ...json.model.vocab, x: -1 } } })],
    ['sequences in sequences', changed({ pre_tokenizer: nested(40, { type: 'ByteLevel' }) })],
    ['merges of unknown tokens', changed({ model: { ...json.model, merges: [['no', 'such']] } })],
    ['a Unigram score that is no number', changed({ model: { type: 'Unigram', unk_id: 0, vocab: [['a', null]] } })],
    [
      'a pattern that takes exponential time',
      changed({ pre_tokenizer: { type: 'Split', pattern: { Regex: '(a+)+b' }, behavior: 'Isolated', invert: false } }),
    ],
  ])('%s is refused', (_, file) => {
    expect(() => tokenizerFromJson(file, config)).toThrow(expect.objectContaining({ name: 'GraftError' }))
  })

  it('a vocabulary above the limit is refused before it is used', () => {
    const vocab = Array.from({ length: 4_000_001 }, () => ['a', 0])
    const begin = performance.now()
    expect(() => tokenizerFromJson(changed({ model: { type: 'Unigram', vocab } }), config)).toThrow(
      /4000001 tokens|expected 1 to/,
    )
    expect(performance.now() - begin).toBeLessThan(5_000)
  })

  it('a character map of garbage gives a tokenizer or a GraftError', () => {
    for (const precompiled_charsmap of ['', '!!!!', 'AAAA', 'A'.repeat(100_000), '\u0000'])
      try {
        tokenizerFromJson(changed({ normalizer: { type: 'Precompiled', precompiled_charsmap } }), config).encode('a b')
      } catch (error) {
        expect(error).toMatchObject({ name: 'GraftError' })
      }
  })

  it('__proto__, constructor and toString are tokens like others', () => {
    const added = ['__proto__', 'constructor', 'toString'].map((content, i) => ({
      id: 300 + i,
      content,
      special: false,
      normalized: false,
    }))
    const text = JSON.stringify(changed({ added_tokens: [...json.added_tokens, ...added] }))
    expect(tokenizerFromJson(text, config).encode('__proto__toString')).toEqual([300, 302])
    expect(({} as Record<string, unknown>).special).toBeUndefined()
  })

  it('1 MB of one letter takes linear time', () => {
    const tokenizer = tokenizerFromJson(json, config)
    const seconds = (length: number): number => {
      const begin = performance.now()
      expect(tokenizer.encode('a'.repeat(length))).toHaveLength(length)
      return (performance.now() - begin) / 1000
    }
    seconds(10_000)
    const [tenth, whole] = [seconds(100_000), seconds(1_000_000)]
    // Ten times the length: a hundred times as long, were it quadratic.
    expect(whole / tenth).toBeLessThan(50)
  })
})
