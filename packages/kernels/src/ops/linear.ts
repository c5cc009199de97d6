import {
  add,
  addN,
  concat,
  defineOp,
  linear as denseLinear,
  matMul,
  mul,
  type RefArray,
  reshape,
  slice,
  sum,
  type Tensor,
  tensor,
} from '@graftjs/tensor'
import type { StoredWeight } from '../stored-weight.ts'
import { hostDense, referenceDense, type StoredAttrs, storedAttrs } from './dense.ts'

/** y += scale · (x aᵀ) bᵀ with a [r, in], b [out, r]. */
export interface LowRankUpdate {
  readonly a: Tensor
  readonly b: Tensor
  readonly scale: number
}

export interface LinearOptions {
  /** [out] */
  readonly bias?: Tensor
  readonly lowRank?: readonly LowRankUpdate[]
}

export interface LinearAttrs extends StoredAttrs {
  readonly scales: readonly number[]
}
/** x, w, bias and the factors a0, b0, a1, b1 … */
export type LinearInputs = { x: Tensor; w: Tensor } & Record<string, Tensor | undefined>

const factors = (
  inputs: Record<string, Tensor | undefined>,
  { scales }: { scales: readonly number[] },
): LowRankUpdate[] => scales.map((scale, i) => ({ a: inputs[`a${i}`]!, b: inputs[`b${i}`]!, scale }))

const denseWeight = (w: Tensor, attrs: StoredAttrs): Tensor =>
  attrs.format === 'f32' ? w : tensor(hostDense(w, attrs), [attrs.rows, attrs.cols])

/** Outputs y [m, out] and, with low-rank factors, h = [x a0ᵀ | x a1ᵀ …], which the gradient reads. */
const run = defineOp<LinearInputs, LinearAttrs>({
  name: 'GraftLinear',
  composed: (inputs, attrs) => {
    const { x, w, bias } = inputs
    const parts = factors(inputs, attrs)
    const h = parts.map(({ a }) => denseLinear(x, a))
    const y = addN([
      denseLinear(x, denseWeight(w, attrs)),
      ...parts.map(({ b, scale }, i) => mul(denseLinear(h[i]!, b), scale)),
    ])
    const whole = bias ? add(y, bias) : y
    return parts.length ? [whole, concat(h, 1)] : [whole]
  },
  save: { inputs: ['x', 'w', ...names(8)], outputs: [1] },
  gradient: (dys, saved, attrs) => {
    const dy = dys[0]!
    const parts = factors(saved, attrs)
    const u = parts.map(({ b }) => matMul(dy, b)) // dy·B [m, r]
    return {
      x: () =>
        runBack(
          {
            dy,
            w: saved.w!,
            ...Object.fromEntries(
              parts.flatMap(({ a }, i) => [
                [`a${i}`, a],
                [`u${i}`, u[i]!],
              ]),
            ),
          },
          attrs,
        )[0]!,
      bias: () => sum(dy, 0),
      ...Object.fromEntries(
        parts.flatMap(({ scale }, i) => [
          [`a${i}`, () => mul(matMul(u[i]!, saved.x!, true), scale)],
          [`b${i}`, () => mul(matMul(dy, columnsOf(saved.out1!, parts, i), true), scale)],
        ]),
      ),
    }
  },
  reference: (inputs, attrs) => {
    const { rows: n, cols: k } = attrs
    const x = inputs.x!.data
    const m = x.length / k
    const y = timesTransposed(x, referenceDense(inputs.w!, attrs), k)
    attrs.scales.forEach((scale, i) => {
      const [a, b] = [inputs[`a${i}`]!, inputs[`b${i}`]!]
      timesTransposed(timesTransposed(x, a.data, k), b.data, a.shape[0]!).forEach((v, j) => {
        y[j]! += scale * v
      })
    })
    return { data: y.map((v, j) => v + (inputs.bias?.data[j % n] ?? 0)), shape: [m, n] }
  },
})

/** a · bᵀ, both with rows of k numbers. */
const timesTransposed = (a: RefArray['data'], b: RefArray['data'], k: number): Float64Array => {
  const [m, n] = [a.length / k, b.length / k]
  const out = new Float64Array(m * n)
  for (let i = 0; i < m; i++)
    for (let j = 0; j < n; j++) {
      let total = 0
      for (let l = 0; l < k; l++) total += a[i * k + l]! * b[j * k + l]!
      out[i * n + j] = total
    }
  return out
}

/** dx = dy·W + Σ scale · u a, with u = dy·b. Nothing is computed for W. */
const runBack = defineOp<{ dy: Tensor; w: Tensor } & Record<string, Tensor | undefined>, LinearAttrs>({
  name: 'GraftLinearBack',
  composed: (inputs, attrs) =>
    addN([
      matMul(inputs.dy, denseWeight(inputs.w, attrs)),
      ...attrs.scales.map((scale, i) => mul(matMul(inputs[`u${i}`]!, inputs[`a${i}`]!), scale)),
    ]),
})

function names(count: number): string[] {
  return Array.from({ length: count }, (_, i) => [`a${i}`, `b${i}`]).flat()
}

const columnsOf = (h: Tensor, parts: readonly LowRankUpdate[], at: number): Tensor => {
  if (parts.length === 1) return h
  const from = parts.slice(0, at).reduce((n, { a }) => n + a.shape[0]!, 0)
  return slice(h, [0, from], [h.shape[0]!, parts[at]!.a.shape[0]!])
}

/** x [..., in] -> x·Wᵀ + bias + Σ low-rank updates, [..., out]. Differentiable in all but W. */
export const linear = (x: Tensor, w: StoredWeight, { bias, lowRank = [] }: LinearOptions = {}): Tensor => {
  const attrs = storedAttrs(w)
  const rows = reshape(x, [-1, attrs.cols])
  const inputs: LinearInputs = {
    x: rows,
    w: w.data,
    bias,
    ...Object.fromEntries(
      lowRank.flatMap(({ a, b }, i) => [
        [`a${i}`, a],
        [`b${i}`, b],
      ]),
    ),
  }
  const y = run(inputs, { ...attrs, scales: lowRank.map(({ scale }) => scale) })[0]!
  return reshape(y, [...x.shape.slice(0, -1), attrs.rows])
}
