import { add, detached, mul, scope, sub, type Tensor } from '@graftjs/tensor'
import { checkOptions } from './check-option.ts'
import { checkShape, createMemory } from './memory.ts'
import type { Optimizer } from './optimizer.ts'

export interface SgdOptions {
  readonly learningRate: number
  /** Default 0: nothing is remembered. */
  readonly momentum?: number
  readonly nesterov?: boolean
  /** Added to the gradient (not decoupled), as torch does. Default 0. */
  readonly weightDecay?: number
}

/** Stochastic gradient descent, with the formula and the state names of torch.optim.SGD. */
export const sgd = (options: SgdOptions | number): Optimizer => {
  const {
    learningRate,
    momentum = 0,
    nesterov = false,
    weightDecay = 0,
  } = typeof options === 'number' ? { learningRate: options } : options
  checkOptions('sgd', {
    learningRate: [learningRate, 0, Number.POSITIVE_INFINITY],
    momentum: [momentum, 0, 1],
    weightDecay: [weightDecay, 0, Number.POSITIVE_INFINITY],
  })
  const memory = createMemory(['momentum_buffer'])
  return {
    name: 'sgd',
    config: { learningRate, momentum, nesterov, weightDecay },
    learningRate,
    update: (param, grad, { lr, gradScale = 1, weightDecayScale = 1 }) => {
      checkShape(`gradient of ${param.path}`, grad.shape, param.shape)
      const slot = momentum > 0 ? memory.of(param) : undefined
      const [value, buffer] = detached(() =>
        scope(() => {
          const g = add(mul(grad, gradScale), mul(param.value, weightDecay * weightDecayScale))
          if (!slot) return [sub(param.value, mul(g, lr))] as Tensor[]
          const buffer = add(mul(slot.tensors.momentum_buffer, momentum), g)
          const direction = nesterov ? add(g, mul(buffer, momentum)) : buffer
          return [sub(param.value, mul(direction, lr)), buffer]
        }),
      )
      if (slot) {
        slot.step++
        memory.set(slot, 'momentum_buffer', buffer!)
      }
      param.set(value!)
    },
    state: memory.state,
    load: memory.load,
    dispose: memory.dispose,
  }
}
