import type { Optimizer } from './optimizer.ts'

export interface Group {
  /** Which parameters, by path. */
  readonly match: (path: string) => boolean
  /** Multiplies the learning rate. Default 1. */
  readonly lr?: number
  /** Multiplies the weight decay. Default 1. */
  readonly weightDecay?: number
}

/** One optimiser with other rates for some parameters. The first group that matches a path counts; the rest are left as they are. */
export const groups = (optimizer: Optimizer, rules: readonly Group[]): Optimizer => ({
  ...optimizer,
  config: { ...optimizer.config, groups: rules.map(({ lr = 1, weightDecay = 1 }) => ({ lr, weightDecay })) },
  update: (param, grad, hyper) => {
    const { lr = 1, weightDecay = 1 } = rules.find(({ match }) => match(param.path)) ?? {}
    const weightDecayScale = (hyper.weightDecayScale ?? 1) * weightDecay
    optimizer.update(param, grad, { ...hyper, lr: hyper.lr * lr, weightDecayScale })
  },
})
