import { backward, type Call, forward, type Model, type StoredParam, type Tuned } from '@graftjs/core'
import { clone, dispose, keep, mul, scope, sum, type Tensor } from '@graftjs/tensor'
import { relativeError } from '../relative-error.ts'
import type { LabelledBatch } from './bed.ts'

export type Gradients = ReadonlyMap<string, Float32Array>

/** The mean negative log-likelihood of the labels. */
export const meanLoss = (tuned: Tuned | Model, batch: LabelledBatch, call: Call = {}): Tensor => {
  const count = batch.labels.flat().filter((label) => label !== -100).length
  return mul(sum(forward(tuned, batch, call).nll(batch.labels)), 1 / count)
}

/** Runs `f` in a scope, reads the tensor it returns and frees it. */
export const read = async (f: () => Tensor): Promise<Float32Array> => {
  const made = scope(f)
  try {
    return Float32Array.from((await made.data()) as Float32Array)
  } finally {
    dispose(made)
  }
}

export const logitsOf = (tuned: Tuned | Model, batch: LabelledBatch, call?: Call): Promise<Float32Array> =>
  read(() => forward(tuned, batch, call).logits())

/** The loss and every gradient of `backward`. */
export const gradientsOf = async (loss: () => Tensor): Promise<{ loss: number; grads: Gradients }> => {
  const kept = new Map<string, Tensor>()
  try {
    const [value] = await read(() => backward(loss, (p, g) => void kept.set(p.path, keep(clone(g)))))
    const grads = new Map<string, Float32Array>()
    for (const [path, grad] of kept) grads.set(path, Float32Array.from((await grad.data()) as Float32Array))
    return { loss: value!, grads }
  } finally {
    dispose([...kept.values()])
  }
}

/** The largest relative error of a parameter's gradient; infinite where one side has a gradient that the other lacks. Tiny gradients are compared with the largest. */
export const gradientError = (a: Gradients, b: Gradients): number => {
  const size = Math.max(...[...b.values()].map(norm))
  const paths = new Set([...a.keys(), ...b.keys()])
  return Math.max(
    0,
    ...[...paths].map((path) => {
      const [mine, theirs] = [a.get(path), b.get(path)]
      if (!mine || !theirs) return norm(mine ?? theirs!) === 0 ? 0 : Number.POSITIVE_INFINITY
      return norm(theirs) < 1e-4 * size ? distance(mine, theirs) / size : relativeError(mine, theirs)
    }),
  )
}

export const norm = (a: Float32Array): number => Math.sqrt(a.reduce((total, x) => total + x * x, 0))

const distance = (a: Float32Array, b: Float32Array): number => norm(a.map((x, i) => x - b[i]!))

/** The largest difference, in units of the largest value of `b`. */
export const largestDifference = (a: ArrayLike<number>, b: ArrayLike<number>): number => {
  if (a.length !== b.length) return Number.POSITIVE_INFINITY
  let [difference, size] = [0, 1e-12]
  for (let i = 0; i < b.length; i++) {
    difference = Math.max(difference, Number.isNaN(a[i]! - b[i]!) ? Number.POSITIVE_INFINITY : Math.abs(a[i]! - b[i]!))
    size = Math.max(size, Math.abs(b[i]!))
  }
  return difference / size
}

export const sameBits = (a: ArrayLike<number>, b: ArrayLike<number>): boolean =>
  a.length === b.length && Array.from(a).every((x, i) => Object.is(x, b[i]))

export const sameGradients = (a: Gradients, b: Gradients): boolean =>
  a.size === b.size && [...a].every(([path, grad]) => b.has(path) && sameBits(grad, b.get(path)!))

/** The trainable parameters. */
export const trainable = (tuned: Tuned): StoredParam[] => [...tuned.params.all.values()].filter((p) => p.trainable)
