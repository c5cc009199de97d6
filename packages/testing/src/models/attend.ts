import type { Heads } from '@graftjs/core'
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

/** T5's attention: softmax(q kᵀ + bias) v, without 1/√D. bias [B | 1, H, T, S] -> [B, T, H, D]. A query that sees no key gives 0. */
export const attend = (heads: Heads, bias?: Tensor): Tensor => {
  const [q, k, v] = [heads.q, heads.k, heads.v].map((x) => transpose(x, [0, 2, 1, 3])) as [Tensor, Tensor, Tensor]
  const scores = matMul(q, k, false, true) // [B, H, T, S]
  const p = softmaxOver(bias ? add(scores, bias) : scores, visible(heads))
  return transpose(matMul(p, v), [0, 2, 1, 3])
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
const visible = ({ q, open, causal, frame, keySegments }: Heads): Tensor => {
  const [batch, length] = q.shape as [number, number]
  const keys = keySegments.shape[1]!
  const of = reshape(frame.segments, [batch, 1, length, 1])
  const key = reshape(keySegments, [batch, 1, 1, keys])
  const inSegment = logicalOr(equal(key, of), logicalOr(equal(key, -1), equal(of, -1)))
  const shown = logicalAnd(inSegment, notEqual(key, -2))
  if (!causal) return cast(shown, 'float32')
  const j = reshape(range(0, keys), [1, 1, 1, keys])
  const last = reshape(range(keys - length, keys), [1, 1, length, 1])
  return cast(logicalAnd(shown, logicalOr(less(j, open), lessEqual(j, last))), 'float32')
}
