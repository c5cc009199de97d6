import {
  add,
  cast,
  detached,
  div,
  equal,
  exp,
  less,
  lessEqual,
  logicalAnd,
  logicalOr,
  matMul,
  max,
  maximum,
  mul,
  notEqual,
  ones,
  range,
  reshape,
  sub,
  type Tensor,
  transpose,
} from '@graftjs/tensor'
import type { AttentionOptions } from './attention.ts'

export interface BiasedAttentionOptions extends Omit<AttentionOptions, 'window' | 'cap'> {
  /** Added to the scores, [B | 1, H, T, S]. It takes a gradient. */
  readonly bias: Tensor
}

/**
 * Softmax(scale · q kᵀ + bias) v (T5's relative positions; Raffel et al. 2020). q [B, T, H, D], k and v [B, S, H, D] ->
 * [B, T, H, D]. A query that sees no key gives 0. Composed of plain operations: the scores are formed as a whole.
 */
export const biasedAttention = (q: Tensor, k: Tensor, v: Tensor, options: BiasedAttentionOptions): Tensor => {
  const [queries, keys, values] = [q, k, v].map((x) => transpose(x, [0, 2, 1, 3])) as [Tensor, Tensor, Tensor]
  const products = matMul(queries, keys, false, true) // [B, H, T, S]
  const scores = add(options.scale === 1 ? products : mul(products, options.scale), options.bias)
  return transpose(matMul(softmaxOver(scores, visible(q.shape[1]!, options)), values), [0, 2, 1, 3])
}

/** Over the keys with `seen` 1, [B, 1, T, S]. */
const softmaxOver = (scores: Tensor, seen: Tensor): Tensor => {
  const masked = sub(scores, mul(sub(1, seen), 1e30))
  const highest = detached(() => max(masked, 3, true)) // shifts all alike, so it takes no gradient
  const weights = mul(exp(sub(masked, highest)), seen)
  // A product adds in the order of the keys, so that unseen ones change no bit wherever they stand.
  const total = matMul(weights, ones([weights.shape[3]!, 1]))
  return div(weights, maximum(total, 1)) // at least 1 where any key is seen
}

/** 1 where the query sees the key, [B, 1, T, S]. */
const visible = (
  length: number,
  {
    open,
    causal,
    querySegments,
    keySegments,
  }: Pick<BiasedAttentionOptions, 'open' | 'causal' | 'querySegments' | 'keySegments'>,
): Tensor => {
  const [batch, keys] = keySegments.shape as [number, number]
  const of = reshape(querySegments, [batch, 1, length, 1])
  const key = reshape(keySegments, [batch, 1, 1, keys])
  const inSegment = logicalOr(equal(key, of), logicalOr(equal(key, -1), equal(of, -1)))
  const shown = logicalAnd(inSegment, notEqual(key, -2))
  if (!causal) return cast(shown, 'float32')
  const j = reshape(range(0, keys), [1, 1, 1, keys])
  const last = reshape(range(keys - length, keys), [1, 1, length, 1])
  return cast(logicalAnd(shown, logicalOr(less(j, open), lessEqual(j, last))), 'float32')
}
