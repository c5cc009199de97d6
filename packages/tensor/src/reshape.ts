import * as tf from '@tensorflow/tfjs-core'
import { defineOp } from './define-op.ts'
import type { Tensor } from './ops.ts'

type Attrs = { shape: readonly number[]; from: readonly number[] }

const run: (inputs: { x: Tensor }, attrs: Attrs) => Tensor[] = defineOp<{ x: Tensor }, Attrs>({
  name: 'GraftReshape',
  composed: ({ x }, { shape }) => tf.reshape(x, [...shape]),
  gradient: ([dy], _, { shape, from }) => ({ x: () => run({ x: dy! }, { shape: from, from: shape })[0]! }),
  reference: ({ x }, { shape }) => ({ data: x!.data, shape }),
})

/**
 * The same numbers in another shape; one dimension may be -1. tfjs's own keeps its input for the gradient, and with it the
 * output of every op that is reshaped; this one keeps the shape.
 */
export const reshape = (x: Tensor, shape: readonly number[]): Tensor => {
  const known = shape.reduce((product, n) => (n === -1 ? product : product * n), 1)
  const whole = shape.map((n) => (n === -1 ? x.size / known : n))
  return run({ x }, { shape: whole, from: x.shape })[0]!
}
