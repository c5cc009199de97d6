import type { Frame } from '@graftjs/core'
import { add, cast, equal, gather, mul, oneHot, range, reshape, sub, sum, type Tensor, topk } from '@graftjs/tensor'

/** The places of the `keep` highest scores of each row, in the order of the text; padding comes last. */
export const highest = (scores: Tensor, segments: Tensor, keep: number): Tensor => {
  const [batch, length] = scores.shape as [number, number, number]
  const unseen = cast(equal(segments, -2), 'float32')
  const best = topk(sub(reshape(scores, [batch, length]), mul(unseen, 1e9)), Math.min(keep, length)).indices
  const isBest = sum(oneHot(best, length), 1) // [B, T]
  // The chosen get length - t > 0 and the others 0: sorted downwards, they stand in the order of the text.
  const order = mul(isBest, reshape(sub(length, cast(range(0, length), 'float32')), [1, length]))
  return topk(order, Math.min(keep, length)).indices
}

export const pickedFrame = (frame: Frame, chosen: Tensor): Frame => {
  const [batch, keep] = chosen.shape as [number, number]
  const length = frame.ids.shape[1]!
  const flat = reshape(add(chosen, reshape(mul(range(0, batch), length), [batch, 1])), [batch * keep])
  const rows = (t: Tensor): Tensor => reshape(gather(reshape(t, [batch * length]), flat), [batch, keep])
  return { ...frame, ids: rows(frame.ids), positions: rows(frame.positions), segments: rows(frame.segments) }
}
