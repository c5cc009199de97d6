import { adamw as step } from '@graftjs/kernels'
import { detached } from '@graftjs/tensor'
import { checkOptions } from './check-option.ts'
import { checkShape, createMemory } from './memory.ts'
import type { Optimizer } from './optimizer.ts'

export interface AdamWOptions {
  readonly learningRate: number
  readonly betas?: readonly [number, number]
  readonly eps?: number
  /** Decoupled: the parameter shrinks by lr · weightDecay a step, whatever its gradient. Default 0.01. */
  readonly weightDecay?: number
}

/** AdamW (Loshchilov and Hutter 2019), with the formula, the defaults and the state names of torch.optim.AdamW. */
export const adamw = (options: AdamWOptions | number): Optimizer => {
  const {
    learningRate,
    betas: [beta1, beta2] = [0.9, 0.999],
    eps = 1e-8,
    weightDecay = 0.01,
  } = typeof options === 'number' ? { learningRate: options } : options
  checkOptions('adamw', {
    learningRate: [learningRate, 0, Number.POSITIVE_INFINITY],
    'betas[0]': [beta1, 0, 1],
    'betas[1]': [beta2, 0, 1],
    eps: [eps, 0, Number.POSITIVE_INFINITY],
    weightDecay: [weightDecay, 0, Number.POSITIVE_INFINITY],
  })
  const memory = createMemory(['exp_avg', 'exp_avg_sq'])
  return {
    name: 'adamw',
    config: { learningRate, betas: [beta1, beta2], eps, weightDecay },
    learningRate,
    update: (param, grad, { lr, gradScale = 1, weightDecayScale = 1 }) => {
      checkShape(`gradient of ${param.path}`, grad.shape, param.shape)
      const slot = memory.of(param)
      const { exp_avg, exp_avg_sq } = slot.tensors
      const hyper = {
        lr,
        beta1,
        beta2,
        eps,
        weightDecay: weightDecay * weightDecayScale,
        step: slot.step + 1,
        gradScale,
      }
      const [value, m, v] = detached(() => step(param.value, exp_avg, exp_avg_sq, grad, hyper))
      slot.step++
      memory.set(slot, 'exp_avg', m)
      memory.set(slot, 'exp_avg_sq', v)
      param.set(value)
    },
    state: memory.state,
    load: memory.load,
    dispose: memory.dispose,
  }
}
