import { add, defineOp, div, erf, exp, mul, square, sub, type Tensor, tanh } from '@graftjs/tensor'

export type GeluForm = 'erf' | 'tanh'
type Attrs = { form: GeluForm }

const ROOT = Math.sqrt(2 / Math.PI)
const CUBE = 0.044715

const run = defineOp<{ x: Tensor }, Attrs>({
  name: 'GraftGelu',
  composed: ({ x }, { form }) => mul(x, share(x, form)),
  save: { inputs: ['x'] },
  gradient: ([dy], { x }, attrs) => ({ x: () => runBack({ x: x!, dy: dy! }, attrs)[0]! }),
  reference: ({ x }, { form }) => ({ data: x!.data.map((v) => v * referenceShare(v, form)), shape: x!.shape }),
})

/** dx = dy · (share + x · share'). */
const runBack = defineOp<{ x: Tensor; dy: Tensor }, Attrs>({
  name: 'GraftGeluBack',
  composed: ({ x, dy }, { form }) => {
    const s = share(x, form)
    const slope =
      form === 'erf'
        ? mul(exp(mul(square(x), -0.5)), 1 / Math.sqrt(2 * Math.PI))
        : mul(mul(s, sub(1, s)), mul(add(mul(square(x), 3 * CUBE), 1), 2 * ROOT))
    return mul(dy, add(s, mul(x, slope)))
  },
})

/** The part of x that passes, 0 … 1. */
const share = (x: Tensor, form: GeluForm): Tensor => {
  const bent = form === 'erf' ? erf(div(x, Math.SQRT2)) : tanh(mul(mul(x, add(mul(square(x), CUBE), 1)), ROOT))
  return mul(add(bent, 1), 0.5)
}

const referenceShare = (x: number, form: GeluForm): number =>
  form === 'tanh' ? 0.5 * (1 + Math.tanh(ROOT * x * (1 + CUBE * x * x))) : 0.5 * (1 + referenceErf(x / Math.SQRT2))

/** By its power series; the arguments of the tests are small. */
const referenceErf = (x: number): number => {
  let [term, total] = [x, x]
  for (let n = 1; n < 100; n++) {
    term *= (-x * x) / n
    total += term / (2 * n + 1)
  }
  return (2 / Math.sqrt(Math.PI)) * total
}

/** GELU (Hendrycks & Gimpel 2016): x · Φ(x), or by `tanh` the approximation that `gelu_new` and `gelu_pytorch_tanh` are. */
export const gelu = (x: Tensor, form: GeluForm): Tensor => run({ x }, { form })[0]!
