import type { Run } from '@graftjs/core'
import { cast, div, linear, mul, oneHot, softmax, sum, type Tensor, topk } from '@graftjs/tensor'

export interface Routing {
  /** Experts that a token uses; null for all of them. */
  readonly topK: number | null
  /** With `topK`: the weights of those that are left are made to sum to one. */
  readonly renormalize: boolean
}

/** p = softmax(x Wᵣᵀ) over the experts: x [..., in] and Wᵣ [E, in] to [..., E]; all but the `topK` likeliest 0. */
export const route = (x: Tensor, router: Tensor, { topK, renormalize }: Routing, run: Run): Tensor => {
  const p = softmax(linear(x, router))
  const experts = router.shape[0]!
  if (topK === null || topK >= experts) return p
  // Which are chosen has no gradient; a replay chooses the same.
  const chosen = run.once(() => cast(sum(oneHot(topk(p, topK).indices, experts), -2), 'float32'))
  const kept = mul(p, chosen)
  return renormalize ? div(kept, sum(kept, -1, true)) : kept
}
