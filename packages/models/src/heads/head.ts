import type { Frame, Output, Run, Site } from '@graftjs/core'
import { slice, type Tensor } from '@graftjs/tensor'
import { GraftError } from '@graftjs/tensor/error'
import { labelRows, nllFromLogits } from '../nll.ts'

/** What stands on the last hidden state. */
export interface Head {
  readonly sites: readonly Site[]
  /** Numbers in each row of its logits. */
  readonly outDim: number
  /** The module that makes the logits. */
  readonly outputPath?: string
  /** `hidden` [B, T, d], after the final norm where there is one. */
  apply(hidden: Tensor, frame: Frame, run: Run): Output
}

/** Logits [B, n, C], and labels [B, n] each told at its own place. */
export const labelledOutput = (hidden: Tensor, logits: () => Tensor): Output => ({
  hidden,
  logits: (from = 0) => fromPlace(logits(), from),
  nll: (labels) => {
    const made = logits()
    const [batch, length, classes] = made.shape as [number, number, number]
    return nllFromLogits(made, labelRows(labels, batch, length, classes, 0))
  },
})

/** [B, n, C] from place `from` on, counted from the end where it is negative. */
export const fromPlace = (logits: Tensor, from: number): Tensor =>
  from === 0 ? logits : slice(logits, [0, from < 0 ? logits.shape[1]! + from : from, 0])

/** Feature extraction: the hidden state is all there is. */
export const noHead = (dim: number): Head => ({
  sites: [],
  outDim: dim,
  apply: (hidden) => ({ hidden, logits: () => refused('logits'), nll: () => refused('a loss') }),
})

const refused = (what: string): never => {
  throw new GraftError({
    code: 'no-head',
    culprit: 'model',
    given: `feature-extraction, which has no ${what.replace('a ', '')}`,
    expected:
      "hidden, the last hidden state; or load it for another task, such as loadModel(where, { task: 'seq-cls' })",
  })
}
