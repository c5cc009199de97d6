import { detached, dispose, scope, square, stack, sum, type Tensor } from '@graftjs/tensor'

/** The squared 2-norm of each gradient. One read for all of them. */
export const squaredNorms = async (grads: readonly Tensor[]): Promise<Float32Array> => {
  if (grads.length === 0) return new Float32Array()
  const squares = detached(() => scope(() => stack(grads.map((grad) => sum(square(grad))))))
  const values = (await squares.data()) as Float32Array
  dispose(squares)
  return values
}

/** The 2-norm of all gradients as one vector, from their `squaredNorms`: added up in their order in float64, so that the same gradients give the same bits. */
export const globalNorm = (squares: Float32Array): number => Math.sqrt(squares.reduce((a, b) => a + b, 0))

/** What gradients are multiplied by so that their norm is at most `max` (0: never clip), as torch's clip_grad_norm_ has it. */
export const clipScale = (norm: number, max: number): number => (max > 0 ? Math.min(1, max / (norm + 1e-6)) : 1)
