import { type Call, forward } from '@graftjs/core'
import { unstaged } from '@graftjs/core/check'
import type { LabelledBatch } from './bed.ts'
import { training } from './gradients.ts'
import { gradientError, gradientsOf, largestDifference, meanLoss, read } from './measure.ts'
import { type Check, moveAll, requireAtMost, requireRefusal, withTuned } from './subject.ts'

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
    return { mixed: worst }
  })

/** The first row twice, then the second. */
const three = (batch: LabelledBatch): LabelledBatch =>
  Object.fromEntries(
    Object.entries(batch).map(([key, rows]) => [key, [rows[0], rows[0], rows[1]]]),
  ) as unknown as LabelledBatch
