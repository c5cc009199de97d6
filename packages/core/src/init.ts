import { tensor, zeros as zerosOf } from '@graftjs/tensor'
import type { Init } from './types.ts'

export const zeros: Init = (shape) => zerosOf(shape)

/** PyTorch's kaiming_uniform with a = √5 over the last dimension: uniform in ±1/√in. */
export const kaimingUniform: Init = (shape, random) => {
  const bound = 1 / Math.sqrt(shape.at(-1)!)
  return tensor(
    random.fill(new Float32Array(size(shape)), 'uniform').map((u) => (2 * u - 1) * bound),
    shape,
  )
}

/** Normal with mean 0. */
export const gaussian =
  (std: number): Init =>
  (shape, random) =>
    tensor(
      random.fill(new Float32Array(size(shape)), 'normal').map((n) => n * std),
      shape,
    )

const size = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1)
