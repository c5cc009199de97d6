import { linears, type Method, plus, type TargetModules } from '@graftjs/core'
import { mul, ones, reshape, sub } from '@graftjs/tensor'

/** (IA)3 (Liu et al. 2022): y ⊙ l, one factor an output feature. As an additive patch it is y + y ⊙ (l - 1). */
export const ia3 = ({ targets = null }: { targets?: TargetModules } = {}): Method => ({
  name: 'ia3',
  config: { targets },
  attach: (model, params) =>
    linears(model, targets).map((site) => {
      const l = params.add(`${site.path}.ia3_l`, [site.outDim], (shape) => ones(shape))
      return plus(site, (_x, y) => mul(y, sub(l(), 1)), {
        fold: ({ weight, bias }) => ({
          weight: mul(weight, reshape(l(), [-1, 1])),
          ...(bias && { bias: mul(bias, l()) }),
        }),
      })
    }),
})
