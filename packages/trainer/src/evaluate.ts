import { forward, type Tuned } from '@graftjs/core'
import { collate, countTargets, type Sample } from '@graftjs/data'
import { dispose, scope, sum } from '@graftjs/tensor'
import { GraftError } from '@graftjs/tensor/error'
import { breathe } from './make-step.ts'

export interface EvaluateOptions {
  /** Rows a pass. Default 8. */
  readonly batchSize?: number
  /** Fills short rows. Default 0. */
  readonly padId?: number
}

/** Mean negative log-likelihood a supervised token of `samples`, without dropout and without gradients. */
export const evaluate = async (
  tuned: Tuned,
  samples: readonly Sample[],
  { batchSize = 8, padId = 0 }: EvaluateOptions = {},
): Promise<number> => {
  let [total, targets] = [0, 0]
  for (let at = 0; at < samples.length; at += batchSize) {
    const batch = collate(samples.slice(at, at + batchSize), { padId })
    const loss = scope(() => sum(forward(tuned, batch).nll(batch.labels)))
    try {
      total += (await loss.data())[0]!
    } finally {
      dispose(loss)
    }
    targets += countTargets(batch, tuned.model.labelShift)
    await breathe()
  }
  if (targets > 0) return total / targets
  throw new GraftError({
    code: 'nothing-to-learn',
    culprit: 'samples',
    given: `${samples.length} rows without a supervised token`,
    expected: 'at least one to measure',
  })
}
