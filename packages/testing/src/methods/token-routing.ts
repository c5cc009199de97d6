import { around, type Frame, gaussian, type Method, sitesOf } from '@graftjs/core'
import {
  add,
  cast,
  equal,
  gather,
  linear,
  matMul,
  mul,
  oneHot,
  range,
  reshape,
  scalar,
  sigmoid,
  sub,
  sum,
  type Tensor,
  topk,
} from '@graftjs/tensor'

/**
 * Conditional adapters' routing (CoDA, Lei et al. 2023): a layer runs on the `keep` tokens of every row that score
 * highest; the others pass by. It picks among all tokens of a row, so it can neither be cached nor packed.
 */
export const tokenRouting = ({ keep = 3 }: { keep?: number } = {}): Method => ({
  name: 'token-routing',
  config: { keep },
  attach: (model, params) =>
    sitesOf(model, 'layer')
      .filter((site) => site.layer >= 0)
      .map((site) => {
        const score = params.add(`${site.path}.router.weight`, [1, site.outDim], gaussian(1))
        return around(
          site,
          (s, next, run) => {
            const scores = linear(s.hidden, score()) // [B, T, 1]
            const chosen = run.once(() => highest(scores, s.frame.segments, keep)) // int32 [B, k]
            const pick = oneHot(chosen, s.hidden.shape[1]!) // [B, k, T]
            const picked = matMul(pick, s.hidden)
            const out = next({ ...s, hidden: picked, frame: pickedFrame(s.frame, chosen) })
            const change = mul(sub(out.hidden, picked), sigmoid(matMul(pick, scores)))
            return { ...s, hidden: add(s.hidden, matMul(pick, change, true)) }
          },
          { refuses: ['cache', 'packing'] },
        )
      }),
})

/** The places of the `keep` highest scores of each row, in the order of the text; padding comes last. */
const highest = (scores: Tensor, segments: Tensor, keep: number): Tensor => {
  const [batch, length] = scores.shape as [number, number, number]
  const unseen = cast(equal(segments, -2), 'float32')
  const best = topk(sub(reshape(scores, [batch, length]), mul(unseen, 1e9)), Math.min(keep, length)).indices
  const isBest = sum(oneHot(best, length), 1) // [B, T]
  // The chosen get length - t > 0 and the others 0: sorted downwards, they stand in the order of the text.
  const order = mul(isBest, reshape(sub(length, cast(range(0, length), 'float32')), [1, length]))
  return topk(order, Math.min(keep, length)).indices
}

const pickedFrame = (frame: Frame, chosen: Tensor): Frame => {
  const [batch, keep] = chosen.shape as [number, number]
  const length = frame.ids.shape[1]!
  const flat = reshape(add(chosen, reshape(mul(range(0, batch), scalar(length, 'int32')), [batch, 1])), [batch * keep])
  const rows = (t: Tensor): Tensor => reshape(gather(reshape(t, [batch * length]), flat), [batch, keep])
  return { ...frame, ids: rows(frame.ids), positions: rows(frame.positions), segments: rows(frame.segments) }
}
