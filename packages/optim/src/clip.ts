import { detached, dispose, scope, square, stack, sum, type Tensor } from '@graftjs/tensor'

/** The 2-norm of all gradients as one vector. Read back at once, added up in their order in float64: same gradients, same bits. */
export const globalNorm = (grads: readonly Tensor[]): number => {
  if (grads.length === 0) return 0
  const squares = detached(() => scope(() => stack(grads.map((grad) => sum(square(grad))))))
  const values = squares.dataSync() as Float32Array
  const total = values.reduce((a, b) => a + b, 0)
  dispose(squares)
  return Math.sqrt(total)
}

/** What gradients are multiplied by so that their norm is at most `max` (0: never clip), as torch's clip_grad_norm_ has it. */
export const clipScale = (norm: number, max: number): number => (max > 0 ? Math.min(1, max / (norm + 1e-6)) : 1)
