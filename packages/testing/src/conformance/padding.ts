import { type Batch, forward } from '@graftjs/core'
import type { Bed } from './bed.ts'
import { largestDifference, read } from './measure.ts'
import { type Check, requireAtMost, withTuned } from './subject.ts'

/** Padding in front, behind and in the middle changes nothing for the tokens that are there. */
export const padding: Check = (subject) =>
  withTuned(subject, async (tuned) => {
    const { bed } = subject
    const bare = await read(() => forward(tuned, bed.text).logits())
    for (const before of [0, 2, bed.text.ids[0]!.length]) {
      const { batch, places } = padded(bed, before)
      const logits = await read(() => forward(tuned, batch).logits())
      // An encoder-decoder's logits are the decoder's, which has no padding here.
      const own = bed.name !== 'encoder-decoder' ? picked(logits, places, bare.length / places.length) : logits
      const what = `padded behind ${before} tokens against unpadded`
      requireAtMost(subject, what, largestDifference(own, bare), 2e-5)
    }
    return undefined
  })

const GAP = 3

/** The bed's text with a gap behind its first tokens, and where each token then stands. */
const padded = ({ text }: Bed, before: number): { batch: Batch; places: number[] } => {
  const row = text.ids[0]!
  const fill = (own: readonly number[]): number[] => [
    ...own.slice(0, before),
    ...new Array<number>(GAP).fill(0),
    ...own.slice(before),
  ]
  const places = row.map((_, t) => (t < before ? t : t + GAP))
  return { batch: { ...text, ids: [fill(row)], mask: [fill(row.map(() => 1))] }, places }
}

const picked = (logits: Float32Array, places: readonly number[], vocab: number): number[] =>
  places.flatMap((t) => [...logits.subarray(t * vocab, (t + 1) * vocab)])
