import { add, defineOp, mean, mul, type RefArray, reshape, rsqrt, square, sub, sum, type Tensor } from '@graftjs/tensor'

type Attrs = { eps: number }

const run = defineOp<{ x: Tensor; w: Tensor; b: Tensor }, Attrs>({
  name: 'GraftLayerNorm',
  composed: ({ x, w, b }, { eps }) => add(mul(standard(x, eps).unit, w), b),
  save: { inputs: ['x', 'w'] },
  gradient: ([dy], { x, w }, { eps }) => ({
    x: () => runBack({ x: x!, w: w!, dy: dy! }, { eps })[0]!,
    w: () => sum(mul(dy!, standard(x!, eps).unit), 0),
    b: () => sum(dy!, 0),
  }),
  reference: ({ x, w, b }, { eps }) => referenceLayerNorm(x!, w!, b!, eps),
})

/** With g = dy·w and the normalised row u: dx = rstd · (g - mean g - u · mean(g·u)). */
const runBack = defineOp<{ x: Tensor; w: Tensor; dy: Tensor }, Attrs>({
  name: 'GraftLayerNormBack',
  composed: ({ x, w, dy }, { eps }) => {
    const { unit, rstd } = standard(x, eps)
    const g = mul(dy, w)
    return mul(rstd, sub(sub(g, mean(g, 1, true)), mul(unit, mean(mul(g, unit), 1, true))))
  },
})

/** Rows of mean 0 and variance 1. */
const standard = (x: Tensor, eps: number): { unit: Tensor; rstd: Tensor } => {
  const centred = sub(x, mean(x, 1, true))
  const rstd = rsqrt(add(mean(square(centred), 1, true), eps))
  return { unit: mul(centred, rstd), rstd }
}

const referenceLayerNorm = (x: RefArray, w: RefArray, b: RefArray, eps: number): RefArray => {
  const d = x.shape.at(-1)!
  const data = new Float64Array(x.data.length)
  for (let at = 0; at < data.length; at += d) {
    const row = x.data.subarray(at, at + d)
    const middle = row.reduce((s, v) => s + v, 0) / d
    const rstd = 1 / Math.sqrt(row.reduce((s, v) => s + (v - middle) ** 2, 0) / d + eps)
    row.forEach((v, i) => {
      data[at + i] = (v - middle) * rstd * w.data[i]! + b.data[i]!
    })
  }
  return { data, shape: x.shape }
}

/** LayerNorm (Ba et al. 2016) over the last axis: (x - mean) / √(variance + eps) · w + b. x [..., d], w and b [d]. */
export const layerNorm = (x: Tensor, w: Tensor, b: Tensor, eps: number): Tensor =>
  reshape(run({ x: reshape(x, [-1, w.size]), w, b }, { eps })[0]!, x.shape)
