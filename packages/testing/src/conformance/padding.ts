import { type Batch, forward } from '@graftjs/core'
import type { Bed } from './bed.ts'
import { largestDifference, read } from './measure.ts'
import { type Check, requireAtMost, withTuned } from './subject.ts'

/** Padding on either side changes nothing for the tokens that are there. */
export const padding: Check = (subject) =>
  withTuned(subject, async (tuned) => {
    const { bed } = subject
    const bare = await read(() => forward(tuned, bed.text).logits())
    let worst = 0
    for (const side of ['left', 'right'] as const) {
      const logits = await read(() => forward(tuned, padded(bed, side)).logits())
      const vocab = bare.length / (bed.name === 'decoder' ? bed.text.ids[0]!.length : 1)
      // An encoder-decoder's logits are the decoder's, which has no padding here.
      const from = bed.name === 'decoder' && side === 'left' ? GAP * vocab : 0
      worst = Math.max(worst, largestDifference(logits.subarray(from, from + bare.length), bare))
    }
    requireAtMost(subject, 'padded against unpadded', worst, 2e-5)
    return undefined
  })

const GAP = 3

const padded = ({ text }: Bed, side: 'left' | 'right'): Batch => {
  const row = text.ids[0]!
  const gap = new Array<number>(GAP).fill(0)
  const fill = (own: readonly number[]): number[][] => [side === 'left' ? [...gap, ...own] : [...own, ...gap]]
  return { ...text, ids: fill(row), mask: fill(row.map(() => 1)) }
}
