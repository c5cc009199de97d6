import { backward, type Call, forward, type StoredParam, type Tuned } from '@graftjs/core'
import { countTargets, type LabelledBatch } from '@graftjs/data'
import { clipScale, globalNorm, type Optimizer, squaredNorms } from '@graftjs/optim'
import { add, clone, dispose, keep, mul, scope, sum, type Tensor } from '@graftjs/tensor'
import { GraftError } from '@graftjs/tensor/error'

/** Of one micro-batch's pass. */
export type PassCall = Pick<Call, 'training' | 'seed' | 'keep' | 'patches'>

export interface MicroBatch {
  readonly batch: LabelledBatch
  readonly call: PassCall
}

export interface StepOptions {
  readonly optimizer: Optimizer
  readonly clip: number
  readonly step: number
  readonly lr: number
}

export interface StepOutcome {
  readonly loss: number
  readonly gradNorm: number
  readonly targets: number
  readonly tokens: number
  /** False: a number was not finite, and parameters and optimiser are as they were. */
  readonly made: boolean
  /** The squared norm of each parameter's gradient, by path. */
  readonly squares: ReadonlyMap<string, number>
}

/** One optimiser step over several micro-batches, normalised by the supervised tokens of all of them. */
export const makeStep = async (
  tuned: Tuned,
  micro: readonly MicroBatch[],
  { optimizer, clip, step, lr }: StepOptions,
): Promise<StepOutcome> => {
  const targets = micro.reduce((n, { batch }) => n + countTargets(batch, tuned.model.labelShift), 0)
  if (targets === 0) throw nothingToLearn(step)
  const grads = new Map<StoredParam, Tensor>()
  try {
    const loss = await accumulate(tuned, micro, targets, grads)
    const squares = await squaredNorms([...grads.values()])
    const gradNorm = globalNorm(squares)
    const made = Number.isFinite(loss) && Number.isFinite(gradNorm)
    const gradScale = clipScale(gradNorm, clip)
    if (made) for (const [param, grad] of grads) optimizer.update(param, grad, { lr, step, gradScale })
    return {
      loss,
      gradNorm,
      targets,
      tokens: micro.reduce((n, { batch }) => n + batch.mask.flat().reduce((a, b) => a + b, 0), 0),
      made,
      squares: new Map([...grads.keys()].map(({ path }, i) => [path, squares[i]!])),
    }
  } finally {
    dispose([...grads.values()])
  }
}

/** The loss of all micro-batches; their gradients are summed in `grads`. */
const accumulate = async (
  tuned: Tuned,
  micro: readonly MicroBatch[],
  targets: number,
  grads: Map<StoredParam, Tensor>,
): Promise<number> => {
  let loss = 0
  for (const [i, { batch, call }] of micro.entries()) {
    if (i > 0) await breathe()
    const value = backward(
      () => mul(sum(forward(tuned, batch, call).nll(batch.labels)), 1 / targets),
      (param, grad) => collect(grads, param as StoredParam, grad),
    )
    try {
      loss += (await value.data())[0]!
    } finally {
      dispose(value)
    }
  }
  return loss
}

const collect = (grads: Map<StoredParam, Tensor>, param: StoredParam, grad: Tensor): void => {
  const before = grads.get(param)
  grads.set(param, keep(before ? scope(() => add(before, grad)) : clone(grad)))
  if (before) dispose(before)
}

/** Timers and signals get their turn. */
export const breathe = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 0))

const nothingToLearn = (step: number): GraftError =>
  new GraftError({
    code: 'nothing-to-learn',
    culprit: `step ${step}`,
    given: 'labels that are all -100',
    expected: 'at least one supervised token',
  })
