import { type Batch, type Call, canCache, forward, type Tuned } from '@graftjs/core'
import { unstaged } from '@graftjs/core/check'
import { createCache } from '@graftjs/models'
import type { LabelledBatch } from './bed.ts'
import { nextOnly, whole } from './decode.ts'
import { training } from './gradients.ts'
import { gradientError, gradientsOf, largestDifference, meanLoss, read } from './measure.ts'
import { type Check, moveAll, requireAtMost, requireRefusal, type Subject, withTuned } from './subject.ts'

/** In one batch every row may use an adapter of its own, or none: it gets what it gets alone, and trains as it does alone. */
export const mixedRows: Check = (subject) =>
  withTuned(subject, async (tuned) => {
    const { bed, method, promises } = subject
    tuned.addAdapter('other', method, { seed: 7 })
    moveAll(tuned, 8, 'other')
    const rows: (string | null)[] = ['default', null, 'other']
    const batch = three(bed.batch)
    const act = (call: Call): Promise<Float32Array> => read(() => forward(tuned, batch, call).logits())
    if (promises.gains === 'none') {
      await requireRefusal(subject, 'mixed rows', () => act({ adapter: rows }), 'no-gain', [method.name])
      return undefined
    }
    if (promises.gains === 'generic') {
      await requireRefusal(subject, 'two of its adapters', () => act({ adapter: rows }), 'two-gates', [method.name])
      rows[2] = null
    }
    const mixed = await act({ adapter: rows })
    const size = mixed.length / rows.length
    let worst = 0
    for (const [i, adapter] of rows.entries()) {
      const part = (values: Float32Array): Float32Array => values.subarray(i * size, (i + 1) * size)
      worst = Math.max(worst, largestDifference(part(mixed), part(await act({ adapter }))))
    }
    requireAtMost(subject, 'mixed rows against each alone', worst, 2e-5)
    const loss = () => meanLoss(tuned, batch, { ...training, adapter: rows })
    const { grads } = await gradientsOf(loss)
    const whole = await unstaged(() => gradientsOf(loss))
    requireAtMost(subject, 'gradients of mixed rows', gradientError(grads, whole.grads), 1e-5)
    if (canCache(tuned, { adapter: rows })) await cachedToo(subject, tuned, rows)
    return { mixed: worst }
  })

/** The first row twice, then the second. */
const three = (batch: LabelledBatch): LabelledBatch =>
  Object.fromEntries(
    Object.entries(batch).map(([key, rows]) => [key, [rows[0], rows[0], rows[1]]]),
  ) as unknown as LabelledBatch

/** Each row of a mixed batch finds its own keys in the cache. */
const cachedToo = async (subject: Subject, tuned: Tuned, adapter: readonly (string | null)[]): Promise<void> => {
  const { bed } = subject
  const id = bed.continuation[0]!
  const full = await read(() => forward(tuned, threefold(whole(bed, [id])), { adapter }).logits(-1))
  const cache = createCache()
  const call = (batch: Batch): Promise<Float32Array> => read(() => forward(tuned, batch, { adapter, cache }).logits(-1))
  try {
    await call(threefold(bed.text))
    const piece = await call(threefold(nextOnly(bed, id)))
    requireAtMost(subject, 'mixed rows with a cache against whole', largestDifference(piece, full), 2e-5)
  } finally {
    cache.dispose()
  }
}

/** One row three times. */
const threefold = (batch: Batch): Batch =>
  Object.fromEntries(Object.entries(batch).map(([key, rows]) => [key, [rows[0], rows[0], rows[0]]])) as unknown as Batch
