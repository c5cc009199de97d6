import type { Tensor } from './ops.ts'

/**
 * A frozen matrix [out, in] (or vector) in whatever form it is stored. Differentiable in `x` only: a frozen weight
 * never has a gradient computed.
 */
export interface Weight {
  /** The name of the stored parameter, such as `model.embed_tokens.weight`. Tied weights have one path. */
  readonly path: string
  readonly shape: readonly number[]
  /** Bytes held, as stored. */
  readonly bytes: number
  /** x [..., in] -> x · weightᵀ [..., out]. */
  matmul(x: Tensor): Tensor
  /** The whole weight as a float32 tensor that is the caller's own: a parameter may take it over. In a training step nobody calls it. */
  dense(): Tensor
}
