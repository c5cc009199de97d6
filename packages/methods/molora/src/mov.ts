import {
  around,
  gaussian,
  linears,
  type Method,
  type Model,
  type Params,
  type Patch,
  plus,
  type Run,
  type Site,
  select,
  sitesOf,
  type TargetModules,
} from '@graftjs/core'
import { matMul, mul, ones, reshape, sub, type Tensor, transpose } from '@graftjs/tensor'
import { GraftError } from '@graftjs/tensor/error'
import { checkExperts } from './check-options.ts'
import { readConfig, writeConfig } from './config.ts'
import { type Routing, route } from './routing.ts'

export interface MovOptions {
  /** Vectors that are mixed at each place. Default 30. */
  readonly experts?: number
  /** Projections whose output is scaled, such as k and v, head by head. Required: the paper's are keys and values. */
  readonly targetModules: TargetModules
  /** Those of them whose input is scaled instead: the last of a feed-forward block. Default none. */
  readonly feedforwardModules?: readonly string[] | string
  /** As of `molora`. */
  readonly topK?: number | null
  readonly renormalize?: boolean
  /** Standard deviation of the router at the start. Default 0.02, the authors'. */
  readonly routerInitStd?: number
}

/**
 * Mixture of vectors (Zadouri et al. 2023, arXiv 2309.05444): (IA)3 with E vectors at each place, mixed token by token: y = h ⊙ Σₑ pₑ lₑ
 * with p = softmax(Wᵣ h). h is the activation itself: of keys and values each head's, whose router all heads share; of a
 * feed-forward block what goes into its last projection. The vectors start at one, and p sums to one, so training starts at
 * the base model.
 */
export const mov = ({
  experts = 30,
  targetModules,
  feedforwardModules = [],
  topK = null,
  renormalize = true,
  routerInitStd = 0.02,
}: MovOptions): Method => {
  checkExperts('mov', experts, topK)
  const routing = { topK, renormalize }
  return {
    name: 'mov',
    kind: mov.kind,
    config: { experts, targetModules, feedforwardModules, topK, renormalize, routerInitStd },
    attach: (model, params) => {
      const inputs = new Set(feedforwardModules.length > 0 ? select(model, 'linear', feedforwardModules) : [])
      const targets = linears(model, targetModules)
      const stray = [...inputs].find((site) => !targets.includes(site))
      if (stray) throw notTargeted(stray)
      return targets.map((site) =>
        patchOf(site, model, params, { experts, routerInitStd, routing, input: inputs.has(site) }),
      )
    },
  }
}
mov.kind = { peftType: 'MOV', read: readConfig(mov), write: writeConfig('MOV') }

const patchOf = (
  site: Site<'linear'>,
  model: Model,
  params: Params,
  {
    experts,
    routerInitStd,
    routing,
    input,
  }: { experts: number; routerInitStd: number; routing: Routing; input: boolean },
): Patch => {
  const size = input ? site.inDim : site.outDim
  const heads = input ? 1 : headsOf(site, model)
  const vectors = params.add(`${site.path}.mov_l`, [experts, size], (shape) => ones(shape))
  const router = params.add(`${site.path}.mov_router.weight`, [experts, size / heads], gaussian(routerInitStd))
  const gain = (h: Tensor, run: Run): Tensor => mixed(h, vectors(), router(), heads, routing, run)
  // What is scaled on its way in cannot be told as a change of what comes out.
  if (input) return around(site, (x, next, run) => next(mul(x, gain(x, run))))
  return plus(site, (_x, y, run) => mul(y, sub(gain(y, run), 1)))
}

/** Σₑ pₑ lₑ for h [B, T, n] and vectors [E, n], head by head. */
const mixed = (h: Tensor, vectors: Tensor, router: Tensor, heads: number, routing: Routing, run: Run): Tensor => {
  const [batch, length, size] = h.shape as [number, number, number]
  const experts = vectors.shape[0]!
  const each = size / heads
  // Head by head as one product of batches: [H, B·T, E] × [H, E, n / H].
  const perHead = transpose(reshape(h, [batch * length, heads, each]), [1, 0, 2])
  const p = route(perHead, router, routing, run)
  const l = transpose(reshape(vectors, [experts, heads, each]), [1, 0, 2])
  return reshape(transpose(matMul(p, l), [1, 0, 2]), h.shape)
}

/** A projection of an attention's heads is scaled head by head; any other as a whole. */
const headsOf = ({ path, outDim }: Site<'linear'>, model: Model): number => {
  const parent = path.slice(0, path.lastIndexOf('.'))
  const attention = sitesOf(model, 'attention').find(
    (site) => site.path.slice(0, site.path.lastIndexOf('.')) === parent,
  )
  if (!attention) return 1
  const { inDim, keyHeads, outDim: queries, heads } = attention
  return outDim === inDim ? keyHeads : outDim === queries ? heads : 1
}

const notTargeted = ({ path }: Site): GraftError =>
  new GraftError({
    code: 'bad-option',
    culprit: 'mov.feedforwardModules',
    given: `${path}, which targetModules leaves out`,
    expected: 'some of the target modules',
  })
