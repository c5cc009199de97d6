import type { Place } from './special-places.ts'

/** Characters of a text that are learnt, without the line break that templates put behind an end token. */
export interface LearntSpan {
  readonly start: number
  readonly end: number
  /** Where its end token begins: the special tokens it ends with, in a row. */
  readonly body: number
  /** False: it ends without a special token. */
  readonly ended: boolean
}

/** [start, end) up to its last special token, if nothing but white space comes after that. */
export const learntSpan = (text: string, specials: readonly Place[], start: number, end: number): LearntSpan => {
  const inside = specials.filter((place) => place.start >= start && place.end <= end)
  const last = inside.at(-1)
  if (!last || text.slice(last.end, end).trim() !== '') return { start, end, body: end, ended: false }
  return { start, end: last.end, body: last.start, ended: true }
}
