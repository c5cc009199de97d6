import { around, type Method, type Output, sitesOf } from '@graftjs/core'
import { add, defineOp, mul, type Tensor, tensor } from '@graftjs/tensor'

export type Where = 'loss' | 'gradient' | 'activation' | 'embedding'

/** Passes x on; the gradient of its first element is not a number. */
const badGradient = defineOp<{ x: Tensor }, object>({
  name: 'BadGradient',
  composed: ({ x }) => mul(x, 1),
  gradient: ([dy]) => ({ x: () => add(dy!, spike(dy!)) }),
})

/** NaN in the first element, 0 elsewhere. */
const spike = (like: Tensor): Tensor => {
  const values = new Float32Array(like.size)
  values[0] = Number.NaN
  return tensor(values, like.shape)
}

/** A method without parameters that spoils one number of one place whenever `armed` says so. */
export const poison = (where: Where, armed: () => boolean): Method => ({
  name: 'poison',
  config: {},
  attach: (model) => {
    const spoil = (x: Tensor): Tensor => (armed() ? add(x, spike(x)) : x)
    if (where === 'embedding') return [around(sitesOf(model, 'embedding')[0]!, (x, next) => spoil(next(x)))]
    if (where === 'activation') return [around(sitesOf(model, 'sublayer')[3]!, (x, next) => spoil(next(x)))]
    if (where === 'gradient')
      return [
        around(sitesOf(model, 'sublayer')[1]!, (x, next) => (armed() ? badGradient({ x: next(x) }, {})[0]! : next(x))),
      ]
    return [
      around(sitesOf(model, 'head')[0]!, (x, next) => {
        const out: Output = next(x)
        return { ...out, nll: (labels) => spoil(out.nll(labels)) }
      }),
    ]
  },
})
