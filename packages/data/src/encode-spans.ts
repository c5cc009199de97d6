import type { Tokenizer } from '@graftjs/text'
import type { LearntSpan } from './learnt-span.ts'
import type { Encoding } from './special-places.ts'

export interface EncodedSpans {
  readonly ids: number[]
  /** For each id, whether it is learnt. */
  readonly learnt: boolean[]
  /** False: some seam had to be encoded apart, because the whole text has a token that spans it. */
  readonly joined: boolean
}

/** A stretch between special tokens; tokens do not reach beyond it. */
interface Stretch {
  readonly token: number
  readonly nextToken: number
  readonly start: number
  readonly end: number
}

interface Cut extends Stretch {
  readonly char: number
  /** How many tokens of the whole end here, if the whole is cut here. */
  readonly at: number | undefined
}

/**
 * The ids of the text up to the end of its last span, as the tokenizer cuts the whole text wherever it cuts at the spans'
 * seams, which is how generating will have it.
 */
export const encodeSpans = (tokenizer: Tokenizer, encoding: Encoding, spans: readonly LearntSpan[]): EncodedSpans => {
  const ids: number[] = []
  const learnt: boolean[] = []
  let from = cutAt(tokenizer, encoding, 0)
  let joined = true
  const add = (char: number, learn: boolean): void => {
    if (char <= from.char) return
    const to = cutAt(tokenizer, encoding, char)
    if (to.at === undefined) joined = false
    for (const id of between(tokenizer, encoding, from, to)) {
      ids.push(id)
      learnt.push(learn)
    }
    from = to
  }
  for (const { start, end } of spans) {
    add(start, false)
    add(end, true)
  }
  return { ids, learnt, joined }
}

const stretchAt = ({ text, ids, specials }: Encoding, char: number): Stretch => {
  let [low, high] = [0, specials.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if (specials[middle]!.start <= char) low = middle + 1
    else high = middle
  }
  const [first, next] = [specials[low - 1], specials[low]]
  return {
    token: first?.token ?? 0,
    nextToken: next?.token ?? ids.length,
    start: first?.start ?? 0,
    end: next?.start ?? text.length,
  }
}

const cutAt = (tokenizer: Tokenizer, encoding: Encoding, char: number): Cut => {
  const { text, ids } = encoding
  if (char >= text.length) return { ...stretchAt(encoding, text.length), char: text.length, at: ids.length }
  const stretch = stretchAt(encoding, char)
  if (char === stretch.start) return { ...stretch, char, at: stretch.token }
  const short = encode(tokenizer, text.slice(stretch.start, char))
  if (isAt(ids, short, stretch.token)) return { ...stretch, char, at: stretch.token + short.length }
  // A stretch that has the same ids on its own says for sure that no token ends here.
  const alone = encode(tokenizer, text.slice(stretch.start, stretch.end))
  if (stretch.token + alone.length === stretch.nextToken && isAt(ids, alone, stretch.token))
    return { ...stretch, char, at: undefined }
  // Some tokenizers put a space in front of a text, so that a stretch has other ids on its own than in its place.
  const full = encode(tokenizer, text.slice(0, char))
  return { ...stretch, char, at: isAt(ids, full, 0) ? full.length : undefined }
}

const encode = (tokenizer: Tokenizer, text: string): number[] => tokenizer.encode(text, { addSpecialTokens: false })

const isAt = (ids: readonly number[], part: readonly number[], at: number): boolean =>
  part.every((id, i) => id === ids[at + i])

/** The ids from one cut to the next; a stretch with a seam inside a token is encoded anew, in parts. */
const between = (tokenizer: Tokenizer, { text, ids }: Encoding, from: Cut, to: Cut): number[] => {
  if (from.at !== undefined && to.at !== undefined) return ids.slice(from.at, to.at)
  if (from.start === to.start) return encode(tokenizer, text.slice(from.char, to.char))
  const head =
    from.at === undefined ? encode(tokenizer, text.slice(from.char, from.end)) : ids.slice(from.at, from.nextToken)
  const tail = to.at === undefined ? encode(tokenizer, text.slice(to.start, to.char)) : ids.slice(to.token, to.at)
  return [...head, ...ids.slice(from.nextToken, to.token), ...tail]
}
