import { kaimingUniform, linears, type Method, plus, type TargetModules, zeros } from '@graftjs/core'
import { add, linear, matMul, mul } from '@graftjs/tensor'

export interface StandInLoraOptions {
  readonly r?: number
  readonly alpha?: number
  readonly dropout?: number
  readonly targets?: TargetModules
}

/** LoRA (Hu et al. 2021): y = W x + (alpha / r) B A x. An additive patch at linear sites, which folds. */
export const lora = ({ r = 3, alpha = 6, dropout = 0.1, targets = null }: StandInLoraOptions = {}): Method => ({
  name: 'lora',
  config: { r, alpha, dropout, targets },
  attach: (model, params) =>
    linears(model, targets).map((site) => {
      const a = params.add(`${site.path}.lora_A.weight`, [r, site.inDim], kaimingUniform)
      const b = params.add(`${site.path}.lora_B.weight`, [site.outDim, r], zeros)
      return plus(site, (x, _y, run) => mul(linear(linear(run.dropout(x, dropout), a()), b()), alpha / r), {
        fold: ({ weight, ...rest }) => ({ weight: add(weight, mul(matMul(b(), a()), alpha / r)), ...rest }),
      })
    }),
})
