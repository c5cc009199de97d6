import {
  around,
  gaussian,
  type Key,
  kaimingUniform,
  linears,
  type Method,
  type Patch,
  plus,
  zeros,
} from '@graftjs/core'
import {
  div,
  linear,
  mul,
  oneHot,
  reshape,
  softmax,
  stack,
  sum,
  type Tensor,
  tile,
  topk,
  zerosLike,
} from '@graftjs/tensor'
import { balanceLoss, statistics } from './balance-loss.ts'
import { feedForwards, inside } from './feed-forwards.ts'

export interface SparseRouterOptions {
  readonly experts?: number
  readonly k?: number
  readonly r?: number
  /** Of the balance loss. */
  readonly coefficient?: number
}

/** Which expert each row of a feed-forward block is for, [B, T · k, E] of zeros and ones; null outside. */
const EXPERT: Key<Tensor | null> = { name: 'expert', none: null }

/**
 * MixLoRA (Li et al. 2024) in rows form: each token stands k times in the feed-forward block, each copy for one of its
 * experts, which is a gain on one wide low-rank product. Shapes are static and nothing is read back.
 */
export const sparseRouter = ({ experts = 4, k = 2, r = 2, coefficient = 0.1 }: SparseRouterOptions = {}): Method => ({
  name: 'sparse-router',
  config: { experts, k, r, coefficient },
  attach: (model, params) => {
    const balance = balanceLoss(experts, coefficient)
    return feedForwards(model).flatMap((site): Patch[] => {
      const router = params.add(`${site.path}.router.weight`, [experts, site.inDim], gaussian(1))
      const route = around(site, (x, next, run) => {
        const [batch, length, d] = x.shape as [number, number, number]
        const p = softmax(linear(x, router())) // [B, T, E]
        const chosen = oneHot(
          run.once(() => topk(p, k).indices),
          experts,
        ) // [B, T, k, E]
        run.tally(balance, statistics(p, chosen))
        const weights = sum(mul(chosen, stack([p], 2)), 3, true) // [B, T, k, 1]
        const copies = reshape(tile(reshape(x, [batch, length, 1, d]), [1, 1, k, 1]), [batch, length * k, d])
        const rows = reshape(chosen, [batch, length * k, experts])
        const y = reshape(next(copies, run.with(EXPERT, rows)), [batch, length, k, -1])
        return sum(mul(y, div(weights, sum(weights, 2, true))), 2)
      })
      const own = linears(model, 'all-linear').filter((l) => inside(l, site.path))
      return [
        route,
        ...own.map((l) => {
          const a = params.add(`${l.path}.experts.lora_A.weight`, [experts * r, l.inDim], kaimingUniform)
          const b = params.add(`${l.path}.experts.lora_B.weight`, [l.outDim, experts * r], zeros)
          return plus(l, (x, y, run) => {
            const rows = run.get(EXPERT)
            return rows ? linear(mul(linear(x, a()), repeated(rows, r)), b()) : zerosLike(y)
          })
        }),
      ]
    })
  },
})

/** [B, T, E] -> [B, T, E · r]: an expert's r columns in one run, as they stand in A. */
const repeated = (rows: Tensor, r: number): Tensor => {
  const [batch, length, experts] = rows.shape as [number, number, number]
  return reshape(tile(reshape(rows, [batch, length, experts, 1]), [1, 1, 1, r]), [batch, length, experts * r])
}
