import { gaussian, linears, type Method, plus, type TargetModules, zeros } from '@graftjs/core'
import { linear, mul, reshape, type Tensor, tile } from '@graftjs/tensor'
import { checkExperts, checkScale } from './check-options.ts'
import { readConfig, writeConfig } from './config.ts'
import { route } from './routing.ts'

export interface MoloraOptions {
  /** LoRAs that are mixed at each place. Default 10. */
  readonly experts?: number
  /** The rank of each. Default 4. */
  readonly r?: number
  /** The update is scaled by loraAlpha / r. Default 16. */
  readonly loraAlpha?: number
  /** As of `lora`. */
  readonly targetModules?: TargetModules
  readonly excludeModules?: readonly string[] | string | null
  /** Experts that a token uses. Default null: all, softly, as in the paper. */
  readonly topK?: number | null
  /** With `topK`: their weights are made to sum to one. The authors' code leaves them as they are: `false`. Default true. */
  readonly renormalize?: boolean
  /** Standard deviation of the router at the start. Default 0.02, the authors'. */
  readonly routerInitStd?: number
}

/** As in the authors' code. */
const A_STD = 0.02

/**
 * Mixture of LoRA experts (Zadouri et al. 2023, arXiv 2309.05444): y = W x + s Σₑ pₑ Bₑ Aₑ x with p = softmax(Wᵣ x), each token by its
 * own weights. The experts stand side by side in A [E·r, in] and B [out, E·r], so all of them are one wide low-rank product.
 * B starts at zero, so training starts at the base model. It depends on the token, so it folds into no weight.
 */
export const molora = (options: MoloraOptions = {}): Method => {
  const {
    experts = 10,
    r = 4,
    loraAlpha = 16,
    targetModules = null,
    excludeModules = null,
    topK = null,
    renormalize = true,
    routerInitStd = 0.02,
  } = options
  checkExperts('molora', experts, topK)
  checkScale('molora', r, loraAlpha)
  return {
    name: 'molora',
    kind: molora.kind,
    config: { experts, r, loraAlpha, targetModules, excludeModules, topK, renormalize, routerInitStd },
    attach: (model, params) =>
      linears(model, targetModules, { excludeModules }).map((site) => {
        const a = params.add(`${site.path}.molora_A.weight`, [experts * r, site.inDim], gaussian(A_STD))
        const b = params.add(`${site.path}.molora_B.weight`, [site.outDim, experts * r], zeros)
        const router = params.add(`${site.path}.molora_router.weight`, [experts, site.inDim], gaussian(routerInitStd))
        return plus(site, (x, _y, run) => {
          const p = route(x, router(), { topK, renormalize }, run)
          return mul(linear(mul(linear(x, a()), repeated(p, r)), b()), loraAlpha / r)
        })
      }),
  }
}
molora.kind = { peftType: 'MOLORA', read: readConfig(molora), write: writeConfig('MOLORA') }

/** [..., E] -> [..., E · r]: each weight r times in a row, as its expert stands in A. */
const repeated = (p: Tensor, r: number): Tensor => {
  const lead = p.shape.slice(0, -1)
  const experts = p.shape.at(-1)!
  return reshape(tile(reshape(p, [...lead, experts, 1]), [...lead.map(() => 1), 1, r]), [...lead, experts * r])
}
