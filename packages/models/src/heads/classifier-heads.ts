import type { Site } from '@graftjs/core'
import { cast, equal, mul, reshape, sub, type Tensor, tanh, transpose } from '@graftjs/tensor'
import { labelRows, nllFromLogits } from '../nll.ts'
import { project } from '../sites.ts'
import { fromPlace, type Head, labelledOutput } from './head.ts'
import { rowState } from './row-state.ts'

/** A class for each row: `out` on tanh(`dense`) of the state of its first token that is not padding. Logits [B, 1, C], labels [B, 1]. */
export const firstTokenHead = (dense: Site<'linear'>, out: Site<'linear'>): Head => ({
  sites: [dense, out],
  outDim: out.outDim,
  outputPath: moduleOf(out),
  apply: (hidden, frame, run) =>
    labelledOutput(hidden, () => project(out, tanh(project(dense, rowState(hidden, frame, 'first'), run)), run)),
})

/** RoBERTa's `classifier` holds both layers. */
const moduleOf = ({ path }: Site): string => path.replace(/\.out_proj$/, '')

/** A class for each token. Logits [B, T, C], labels [B, T]. */
export const tokenHead = (out: Site<'linear'>): Head => ({
  sites: [out],
  outDim: out.outDim,
  outputPath: out.path,
  apply: (hidden, _, run) => labelledOutput(hidden, () => project(out, hidden, run)),
})

/**
 * Extractive question answering: how well the answer begins and ends at each token, logits [B, T, 2]. Labels [B, 2] are
 * the two places, and the mean of their two numbers is transformers' loss of a row alone: padding takes no part here.
 */
export const spanHead = (out: Site<'linear'>): Head => ({
  sites: [out],
  outDim: out.outDim,
  outputPath: out.path,
  apply: (hidden, frame, run) => {
    const logits = (): Tensor => project(out, hidden, run)
    return {
      hidden,
      logits: (from = 0) => fromPlace(logits(), from),
      nll: (labels) => {
        const [batch, length] = hidden.shape as [number, number]
        const isPadding = cast(equal(reshape(frame.segments, [batch, 1, length]), -2), 'float32')
        const sides = sub(transpose(logits(), [0, 2, 1]), mul(isPadding, 1e30)) // [B, 2, T]
        return nllFromLogits(sides, labelRows(labels, batch, 2, length, 0))
      },
    }
  },
})
