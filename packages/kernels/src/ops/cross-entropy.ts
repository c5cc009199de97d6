import {
  defineOp,
  expandDims,
  isTaping,
  logSumExp,
  matMul,
  mul,
  oneHot,
  type RefArray,
  softmax,
  sub,
  sum,
  type Tensor,
  tensor,
  zeros,
} from '@graftjs/tensor'

import { GraftError } from '@graftjs/tensor/error'
import type { StoredWeight } from '../stored-weight.ts'
import { hostDense, referenceDense, type StoredAttrs, storedAttrs } from './dense.ts'
import { hostValues } from './host-values.ts'

export interface CrossEntropyAttrs extends StoredAttrs {
  /** Makes the gradient for the hidden state in the same pass. */
  readonly graded: boolean
}

/** nll [n], and while taping d nll / d hidden [n, d]: one pass over the vocabulary serves both. */
const run = defineOp<{ hidden: Tensor; w: Tensor; labels: Tensor }, CrossEntropyAttrs>({
  name: 'GraftCrossEntropy',
  composed: ({ hidden, w, labels }, attrs) => {
    // On a GPU a bad label is a row of zeros, as is one of -100: nothing is read past the weight.
    const known = hostValues(labels)
    if (known) checkLabels(known as Int32Array, attrs.rows)
    const weight = attrs.format === 'f32' ? w : tensor(hostDense(w, attrs), [attrs.rows, attrs.cols])
    const logits = matMul(hidden, weight, false, true)
    const target = oneHot(labels, attrs.rows) // all zeros where the label is -100
    const counts = sum(target, 1)
    const nll = mul(counts, sub(logSumExp(logits, 1), sum(mul(logits, target), 1)))
    const grad = attrs.graded ? mul(expandDims(counts, 1), matMul(sub(softmax(logits), target), weight)) : zeros([0])
    return [nll, grad]
  },
  save: { outputs: [1] },
  gradient: ([dy], { out1 }) => ({ hidden: () => mul(expandDims(dy!, 1), out1!) }),
  reference: (inputs, attrs) => referenceCrossEntropy(inputs, attrs),
})

/** What the kernel would read past the weight for. */
export const checkLabels = (labels: Int32Array, vocab: number): Int32Array => {
  const at = labels.findIndex((label) => label !== -100 && (label < 0 || label >= vocab))
  if (at < 0) return labels
  throw new GraftError({
    code: 'bad-id',
    culprit: `labels[${at}]`,
    given: String(labels[at]),
    expected: `-100 or one of 0 … ${vocab - 1}`,
  })
}

const referenceCrossEntropy = (
  { hidden, w, labels }: Record<string, RefArray | undefined>,
  attrs: CrossEntropyAttrs,
): RefArray[] => {
  const { rows: vocab, cols: d } = attrs
  const weight = referenceDense(w!, attrs)
  const n = labels!.data.length
  const nll = new Float64Array(n)
  const grad = new Float64Array(n * d)
  for (let r = 0; r < n; r++) {
    const label = labels!.data[r]!
    if (label === -100) continue
    const logits = Float64Array.from({ length: vocab }, (_, v) =>
      hidden!.data.subarray(r * d, (r + 1) * d).reduce((s, x, i) => s + x * weight[v * d + i]!, 0),
    )
    const most = Math.max(...logits)
    const total = logits.reduce((s, l) => s + Math.exp(l - most), 0)
    nll[r] = most + Math.log(total) - logits[label]!
    if (!attrs.graded) continue
    for (let v = 0; v < vocab; v++) {
      const p = Math.exp(logits[v]! - most) / total - (v === label ? 1 : 0)
      for (let i = 0; i < d; i++) grad[r * d + i]! += p * weight[v * d + i]!
    }
  }
  return [
    { data: nll, shape: [n] },
    attrs.graded ? { data: grad, shape: [n, d] } : { data: new Float64Array(), shape: [0] },
  ]
}

/**
 * Negative log-likelihood of each label under softmax(hidden · Wᵀ): hidden [n, d], labels int32 [n] -> [n]; 0 where the
 * label is -100. Logits are never formed on `simd`, and only rows with a label are computed.
 */
export const crossEntropy = (hidden: Tensor, w: StoredWeight, labels: Tensor): Tensor =>
  run({ hidden, w: w.data, labels }, { ...storedAttrs(w), graded: isTaping() })[0]!
