import {
  add,
  defineOp,
  div,
  mean,
  mul,
  type RefArray,
  reshape,
  rsqrt,
  square,
  sub,
  sum,
  type Tensor,
} from '@graftjs/tensor'

type Attrs = { eps: number }

const run = defineOp<{ x: Tensor; w: Tensor }, Attrs>({
  name: 'GraftRmsNorm',
  composed: ({ x, w }, { eps }) => mul(w, mul(x, rsqrt(add(mean(square(x), 1, true), eps)))),
  save: { inputs: ['x', 'w'] },
  gradient: ([dy], { x, w }, { eps }) => ({
    x: () => runBack({ x: x!, w: w!, dy: dy! }, { eps })[0]!,
    w: () => sum(mul(dy!, mul(x!, rsqrt(add(mean(square(x!), 1, true), eps)))), 0),
  }),
  reference: ({ x, w }, { eps }) =>
    rows(x!, (row) => {
      const rstd = 1 / Math.sqrt(row.reduce((s, v) => s + v * v, 0) / row.length + eps)
      return row.map((v, i) => v * rstd * w!.data[i]!)
    }),
})

/** dx = rstd · (dy·w - x · rstd² · mean(dy·w·x)). */
const runBack = defineOp<{ x: Tensor; w: Tensor; dy: Tensor }, Attrs>({
  name: 'GraftRmsNormBack',
  composed: ({ x, w, dy }, { eps }) => {
    const variance = add(mean(square(x), 1, true), eps)
    const g = mul(dy, w)
    return mul(rsqrt(variance), sub(g, mul(x, div(mean(mul(g, x), 1, true), variance))))
  },
})

const rows = (x: RefArray, f: (row: Float64Array) => Float64Array): RefArray => {
  const d = x.shape.at(-1)!
  const data = new Float64Array(x.data.length)
  for (let at = 0; at < data.length; at += d) data.set(f(x.data.subarray(at, at + d)), at)
  return { data, shape: x.shape }
}

/** RMSNorm (Zhang & Sennrich 2019) over the last axis: x / √(mean x² + eps) · w. x [..., d], w [d]. */
export const rmsNorm = (x: Tensor, w: Tensor, eps: number): Tensor =>
  reshape(run({ x: reshape(x, [-1, w.size]), w }, { eps })[0]!, x.shape)
