import * as tf from '@tensorflow/tfjs-core'
import { defineOp } from './define-op.ts'
import type { Tensor } from './ops.ts'
import { isTaping } from './tape.ts'

type Attrs = { shape: readonly number[]; from: readonly number[] }

const run: (inputs: { x: Tensor }, attrs: Attrs) => Tensor[] = defineOp<{ x: Tensor }, Attrs>({
  name: 'GraftReshape',
  composed: ({ x }, { shape }) => tf.reshape(x, [...shape]),
  gradient: ([dy], _, { from }) => ({ x: () => reshape(dy!, from) }),
  reference: ({ x }, { shape }) => ({ data: x!.data, shape }),
})

/**
 * The same numbers in another shape; one dimension may be -1. tfjs's own keeps its input for the gradient, and with it the
 * output of every op that is reshaped; this one keeps the shape.
 */
export const reshape = (x: Tensor, shape: readonly number[]): Tensor => {
  const known = shape.reduce((product, n) => (n === -1 ? product : product * n), 1)
  const whole = shape.map((n) => (n === -1 ? x.size / known : n))
  // Nothing is kept without a tape, so the plain kernel will do: half of all reshapes of a training step.
  if (!isTaping()) return tf.engine().runKernel('Reshape', { x }, { shape: whole }) as Tensor
  return run({ x }, { shape: whole, from: x.shape })[0]!
}
