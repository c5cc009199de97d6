import type { Heads, Run, Site } from '@graftjs/core'
import type { StoredWeight } from '@graftjs/kernels'
import {
  add,
  concat,
  gather,
  maximum,
  minimum,
  range,
  reshape,
  scalar,
  sub,
  type Tensor,
  tensor,
  transpose,
  zeros,
} from '@graftjs/tensor'

export interface Buckets {
  /** Earlier and later keys have buckets of their own (an encoder); else all later ones share bucket 0. */
  readonly bidirectional: boolean
  readonly count: number
  /** From here on everything is in the last bucket. */
  readonly maxDistance: number
}

/** T5's bucket (Raffel et al. 2020) of key position - query position: one each for the near, logarithmic for the far. */
export const relativeBucket = (distance: number, { bidirectional, count, maxDistance }: Buckets): number => {
  const own = bidirectional ? count / 2 : count
  const first = bidirectional && distance > 0 ? own : 0
  const n = bidirectional ? Math.abs(distance) : Math.max(0, -distance)
  const exact = Math.floor(own / 2)
  if (n < exact) return first + n
  // In float32, as the models were trained: the borders between buckets depend on it.
  const { fround, log, trunc, min } = Math
  const fraction = fround(fround(log(fround(n / exact))) / fround(log(maxDistance / exact)))
  return first + min(own - 1, exact + trunc(fround(fraction * (own - exact))))
}

/**
 * What is added to the scores, [B | 1, H, T, S], from a table [buckets, H] at `site`; 0 on the `open` first keys.
 *
 * The distance is that of positions where the keys are those of the frame's own tokens: it holds with a virtual prompt
 * before padded or packed rows, and for tokens that a patch has picked out. With a cache it is that of places in the
 * row, as the cache keeps no positions: the same number, since a decoder's document stands in one piece.
 */
export const relativeBias = (
  site: Site<'embedding'>,
  buckets: Buckets,
  { q, k, open, frame }: Heads,
  run: Run,
): Tensor => {
  const [length, keys] = [q.shape[1]!, k.shape[1]! - open]
  const distance = keys === length ? ofPositions(frame.positions) : ofPlaces(length, keys)
  const rows = run.at(site, bucketsOf(distance, buckets), (b) => (site.weight as StoredWeight).rows(b)) // [B | 1, T, S, H]
  const bias = transpose(rows, [0, 3, 1, 2])
  return open === 0 ? bias : concat([zeros([...bias.shape.slice(0, 3), open]), bias], 3)
}

/** key - query, [B, T, T]. */
const ofPositions = (positions: Tensor): Tensor => {
  const [batch, length] = positions.shape as [number, number]
  return sub(reshape(positions, [batch, 1, length]), reshape(positions, [batch, length, 1]))
}

/** key - query, [1, T, S], where the queries are the last of the keys. */
const ofPlaces = (length: number, keys: number): Tensor =>
  sub(reshape(range(0, keys), [1, 1, keys]), reshape(range(keys - length, keys), [1, length, 1]))

const bucketsOf = (distance: Tensor, buckets: Buckets): Tensor => {
  const most = buckets.maxDistance
  const int = (n: number): Tensor => scalar(n, 'int32')
  const table = Int32Array.from({ length: 2 * most + 1 }, (_, i) => relativeBucket(i - most, buckets))
  const place = add(maximum(minimum(distance, int(most)), int(-most)), int(most))
  return gather(tensor(table, [table.length], 'int32'), place)
}
