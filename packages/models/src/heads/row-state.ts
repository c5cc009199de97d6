import type { Frame } from '@graftjs/core'
import { cast, equal, matMul, max, mul, notEqual, range, reshape, sub, type Tensor } from '@graftjs/tensor'

/** The state of each row's first or last token that is not padding, [B, 1, d]; 0 where all are. `hidden` is [B, T, d]. */
export const rowState = (hidden: Tensor, { segments }: Frame, which: 'first' | 'last'): Tensor => {
  const [batch, length] = segments.shape as [number, number]
  const real = cast(notEqual(segments, -2), 'int32')
  const counted = reshape(range(1, length + 1), [1, length])
  const rank = mul(which === 'last' ? counted : sub(length + 1, counted), real)
  const isIt = mul(cast(equal(rank, max(rank, 1, true)), 'int32'), real)
  return matMul(cast(reshape(isIt, [batch, 1, length]), 'float32'), hidden)
}
