import { add, defineOp, mul, sigmoid, sub, type Tensor } from '@graftjs/tensor'

const run = defineOp<{ gate: Tensor; up: Tensor }, object>({
  name: 'GraftSwiglu',
  composed: ({ gate, up }) => mul(mul(gate, sigmoid(gate)), up),
  save: { inputs: ['gate', 'up'] },
  gradient: ([dy], { gate, up }) => {
    const [dg, du] = runBack({ gate: gate!, up: up!, dy: dy! }, {})
    return { gate: () => dg!, up: () => du! }
  },
  reference: ({ gate, up }) => ({
    data: gate!.data.map((g, i) => (g / (1 + Math.exp(-g))) * up!.data[i]!),
    shape: gate!.shape,
  }),
})

/** dg = dy·u·σ(g)(1 + g(1 - σ(g))), du = dy·g·σ(g). */
const runBack = defineOp<{ gate: Tensor; up: Tensor; dy: Tensor }, object>({
  name: 'GraftSwigluBack',
  composed: ({ gate, up, dy }) => {
    const s = sigmoid(gate)
    return [mul(mul(dy, up), mul(s, add(1, mul(gate, sub(1, s))))), mul(dy, mul(gate, s))]
  },
})

/** SwiGLU (Shazeer 2020): gate · σ(gate) · up, both of one shape. */
export const swiglu = (gate: Tensor, up: Tensor): Tensor => run({ gate, up }, {})[0]!
