import { cast, logSumExp, mul, notEqual, oneHot, reshape, sub, sum, type Tensor, tensor } from '@graftjs/tensor'
import { GraftError } from '@graftjs/tensor/error'

/**
 * Which token each row of the hidden state is to predict, int32 [B · T]: of a causal model (`shift` 1) label t + 1 at
 * row t and -100 in the last column, of an encoder-decoder (`shift` 0) label t.
 */
export const labelRows = (
  labels: readonly (readonly number[])[],
  batch: number,
  length: number,
  vocabSize: number,
  shift: 0 | 1 = 1,
): Tensor => {
  const rows = new Int32Array(batch * length).fill(-100)
  if (labels.length !== batch || labels.some((row) => row.length !== length))
    throw new GraftError({
      code: 'bad-batch',
      culprit: 'labels',
      given: `${labels.length} rows of lengths ${labels.map((row) => row.length).join(', ')}`,
      expected: `${batch} rows of length ${length}`,
    })
  for (const [b, row] of labels.entries())
    for (let t = shift; t < length; t++) {
      const label = row[t]!
      if (label !== -100 && !(Number.isInteger(label) && label >= 0 && label < vocabSize))
        throw new GraftError({
          code: 'bad-batch',
          culprit: `labels[${b}][${t}]`,
          given: String(label),
          expected: `-100 or a whole number of 0 … ${vocabSize - 1}`,
        })
      rows[b * length + t - shift] = label
    }
  return tensor(rows, [batch * length], 'int32')
}

/** The same as the fused kernel from logits [B, T, V]: for a head that carries patches. `rows` int32 [B · T]. */
export const nllFromLogits = (logits: Tensor, rows: Tensor): Tensor => {
  const [batch, length, vocab] = logits.shape as [number, number, number]
  const flat = reshape(logits, [batch * length, vocab])
  // oneHot of -100 is a row of zeros; the factor below clears its log-sum-exp as well.
  const known = cast(notEqual(rows, -100), 'float32')
  const picked = sum(mul(flat, oneHot(rows, vocab)), 1)
  return reshape(mul(sub(logSumExp(flat, 1), picked), known), [batch, length])
}
