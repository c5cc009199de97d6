import * as tf from '@tensorflow/tfjs-core'
import { defineOp } from './define-op.ts'
import { GraftError } from './error.ts'
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
  if (!fits(whole, x.size)) throw badShape(x, shape)
  // Nothing is kept without a tape, so the plain kernel will do: half of all reshapes of a training step.
  if (!isTaping()) return tf.engine().runKernel('Reshape', { x }, { shape: whole }) as Tensor
  return run({ x }, { shape: whole, from: x.shape })[0]!
}

const fits = (shape: readonly number[], size: number): boolean =>
  shape.every((n) => Number.isInteger(n) && n >= 0) && shape.reduce((product, n) => product * n, 1) === size

const badShape = (x: Tensor, shape: readonly number[]): GraftError =>
  new GraftError({
    code: 'bad-shape',
    culprit: 'reshape',
    given: `[${x.shape}] to be [${shape}]`,
    expected: `a shape of ${x.size} numbers, with one -1 at most`,
  })
