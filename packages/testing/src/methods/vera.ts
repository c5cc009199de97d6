import { gaussian, linears, type Method, plus, type TargetModules, zeros } from '@graftjs/core'
import { add, fill, linear, matMul, mul, reshape, slice } from '@graftjs/tensor'

/** VeRA (Kopiczko et al. 2024): y = W x + b ⊙ B (d ⊙ A x). Frozen A and B serve all layers; d and b are each layer's own. */
export const vera = ({ r = 5, targets = null }: { r?: number; targets?: TargetModules } = {}): Method => ({
  name: 'vera',
  config: { r, targets },
  attach: (model, params) => {
    const sites = linears(model, targets)
    const [widest, tallest] = [Math.max(...sites.map((s) => s.inDim)), Math.max(...sites.map((s) => s.outDim))]
    const frozen = params.scope('', { frozen: true })
    const sharedA = frozen.add('vera_A', [r, widest], gaussian(0.3))
    const sharedB = frozen.add('vera_B', [tallest, r], gaussian(0.3))
    return sites.map((site) => {
      const d = params.add(`${site.path}.vera_lambda_d`, [r], (shape) => fill(shape, 0.5))
      const b = params.add(`${site.path}.vera_lambda_b`, [site.outDim], zeros)
      const right = () => mul(slice(sharedA(), [0, 0], [r, site.inDim]), reshape(d(), [r, 1])) // d ⊙ A [r, in]
      const left = () => mul(slice(sharedB(), [0, 0], [site.outDim, r]), reshape(b(), [-1, 1])) // b ⊙ B [out, r]
      return plus(site, (x) => linear(linear(x, right()), left()), {
        fold: ({ weight, ...rest }) => ({ weight: add(weight, matMul(left(), right())), ...rest }),
      })
    })
  },
})
