import { type Batch, forward, type Tuned } from '@graftjs/core'
import type { Bed } from './bed.ts'
import { largestDifference, read, sameBits } from './measure.ts'
import { holds } from './promises.ts'
import { type Check, fail, refuserOf, requireAtMost, requireRefusal, withTuned } from './subject.ts'

/** Documents packed into one row do not see each other; or packing is refused by name. */
export const packed: Check = (subject) =>
  withTuned(subject, async (tuned) => {
    const { bed, promises } = subject
    const together = (first: readonly number[]) => logits(tuned, pack(bed, [first, documents[1]!]))
    if (!holds(promises.packs, bed.name, true)) {
      await requireRefusal(subject, 'packed', () => together(documents[0]!), 'no-packing', [
        refuserOf(tuned, 'packing'),
      ])
      return undefined
    }
    const alone: number[] = []
    for (const document of documents) alone.push(...(await logits(tuned, pack(bed, [document]))))
    const row = await together(documents[0]!)
    const difference = largestDifference(row, alone)
    requireAtMost(subject, 'packed against separate', difference, 2e-5)
    const other = await together(documents[0]!.map((id) => id + 2))
    const behind = (values: Float32Array): Float32Array => values.subarray(values.length / 2)
    if (!sameBits(behind(other), behind(row)))
      fail(subject, 'document 2, when document 1 changes', 'other logits', 'the same bits')
    return { packed: difference }
  })

const documents: readonly (readonly number[])[] = [
  [5, 9, 2, 14],
  [7, 1, 19, 4],
]

/** Documents in one row; of an encoder-decoder, the second half of each is what the decoder reads. */
const pack = ({ name }: Bed, list: readonly (readonly number[])[]): Batch => {
  const rowOf = (parts: readonly (readonly number[])[]) => ({
    ids: [parts.flat()],
    positions: [parts.flatMap((part) => part.map((_, t) => t))],
    segments: [parts.flatMap((part, i) => part.map(() => i))],
  })
  const tasks = [1]
  if (name !== 'encoder-decoder') return { ...rowOf(list), tasks }
  const encoder = rowOf(list)
  const decoder = rowOf(list.map((document) => document.map((id) => id + 1)))
  return {
    ids: encoder.ids,
    segments: encoder.segments,
    decoderIds: decoder.ids,
    decoderSegments: decoder.segments,
    tasks,
  }
}

const logits = (tuned: Tuned, batch: Batch): Promise<Float32Array> => read(() => forward(tuned, batch).logits())
