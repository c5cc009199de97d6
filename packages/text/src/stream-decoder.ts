import type { Tokenizer } from './tokenizer.ts'

/** Text out of ids as they come. */
export interface StreamDecoder {
  /** The characters that `id` completes; none while one still lacks bytes. */
  push(id: number): string
  /** What is left when no more ids come, broken bytes shown as U+FFFD. */
  flush(): string
}

/** The first bytes of a character, at the end, decode to one U+FFFD. */
const unfinished = /\uFFFD$/

/** All that is pushed and flushed joins up to what `decode` makes of the ids at once. */
export const streamDecoder = (
  tokenizer: Tokenizer,
  { skipSpecialTokens = true }: { readonly skipSpecialTokens?: boolean } = {},
): StreamDecoder => {
  const decode = (ids: readonly number[]): string => tokenizer.decode(ids, { skipSpecialTokens })
  // The ids since the last clean cut, after those before it: some decoders look at what stands to the left.
  let [before, ids]: [number[], number[]] = [[], []]
  let [start, sent] = [0, 0]
  const take = (text: string): string => {
    const fresh = text.slice(sent)
    sent = Math.max(sent, text.length)
    return fresh
  }
  return {
    push: (id) => {
      ids.push(id)
      const text = decode([...before, ...ids]).slice(start)
      const whole = text.replace(unfinished, '')
      const fresh = take(whole)
      if (whole.length === text.length) {
        start = decode(ids).length
        ;[before, ids, sent] = [ids, [], 0]
      }
      return fresh
    },
    flush: () => {
      const fresh = take(decode([...before, ...ids]).slice(start))
      ;[before, ids, start, sent] = [[], [], 0, 0]
      return fresh
    },
  }
}
