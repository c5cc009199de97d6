import { expect, it } from 'vitest'
import { stopAtText } from './stop-at-text.ts'
import { tinyGguf } from './tiny-tokenizer.test-util.ts'
import { tokenizerFromGguf } from './tokenizer-from-gguf.ts'

const tokenizer = tokenizerFromGguf(tinyGguf())
/** At which of the text's tokens it stops. */
const stopsAt = (text: string, ...stops: string[]): number => {
  const stop = stopAtText(tokenizer, stops)
  const ids = tokenizer.encode(text)
  return ids.findIndex((_, i) => stop(ids.slice(0, i + 1)))
}

it('stops with the token that completes a text, wherever tokens are cut', () => {
  const ids = tokenizer.encode('hello world')
  expect(stopsAt('hello world', 'hello')).toBe(0)
  // `hell` ends within the token `hello`.
  expect(stopsAt('hello world', 'hell')).toBe(0)
  expect(stopsAt('hello world', 'world')).toBe(ids.length - 1)
  expect(stopsAt('a\n\nb', '\n\n')).toBe(2)
  expect(stopsAt('say 🙂 now', '🙂')).toBe(tokenizer.encode('say 🙂').length - 1)
  expect(stopsAt('abc', 'x', 'bc')).toBe(2)
  expect(stopsAt('abc', 'x')).toBe(-1)
})

it('looks at as many tokens as the text may have', () => {
  const long = 'qzqzqzqzqzqzqzqz'
  expect(stopsAt(`ab${long}cd`, long)).toBe(1 + long.length)
})

it.each([[[]], [['a', '']]])('refuses %j', (texts) => {
  expect(() => stopAtText(tokenizer, texts)).toThrow(
    /stop texts: given .*; expected at least one text, none of them empty/,
  )
})
