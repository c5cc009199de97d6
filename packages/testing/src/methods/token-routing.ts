import { around, gaussian, type Method, sitesOf } from '@graftjs/core'
import { add, linear, matMul, mul, oneHot, sigmoid, sub } from '@graftjs/tensor'
import { highest, pickedFrame } from './pick-tokens.ts'

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
