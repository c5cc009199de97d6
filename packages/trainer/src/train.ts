import { type Batch, backward, forward, type StoredParam, type Tuned } from '@graftjs/core'
import { batches, collate, countTargets, type Sample } from '@graftjs/data'
import { clipScale, constant, globalNorm, type Optimizer, type Schedule } from '@graftjs/optim'
import { add, clone, dispose, keep, mul, scope, sum, type Tensor } from '@graftjs/tensor'
import { GraftError } from '@graftjs/tensor/error'
import type { CheckpointOptions } from './checkpoints.ts'
import { startSaver } from './start-saver.ts'

export interface StepReport {
  /** From 1. */
  readonly step: number
  readonly steps: number
  readonly epoch: number
  /** Mean negative log-likelihood a supervised token, over the whole accumulated batch. */
  readonly loss: number
  readonly learningRate: number
  /** Global norm before clipping. */
  readonly gradNorm: number
  /** Supervised tokens of this step. */
  readonly targets: number
  /** All tokens of this step, padding left out. */
  readonly tokens: number
  readonly seconds: number
}

export interface TrainOptions {
  readonly optimizer: Optimizer
  /** Factor on the optimiser's learning rate at a step. Default: constant. */
  readonly schedule?: Schedule
  /** Optimiser steps; wins over `epochs`. */
  readonly steps?: number
  /** Default 1. */
  readonly epochs?: number
  /** Rows a micro-batch. Default 8. */
  readonly batchSize?: number
  /** Micro-batches a step. Their losses are summed and divided by all their supervised tokens. Default 1. */
  readonly accumulate?: number
  /** Largest global gradient norm; 0 (the default) clips nothing. */
  readonly clip?: number
  /** Of the order of the rows and of dropout. Default 0. */
  readonly seed?: number
  readonly keep?: 'none' | 'all' | number
  /** Fills short rows; masked, so any id does. Default 0. */
  readonly padId?: number
  /** Ends the run after the step that is under way; with `checkpoint`, a checkpoint is written then. */
  readonly signal?: AbortSignal
  readonly onStep?: (report: StepReport) => void | Promise<void>
  /** Writes checkpoints, from which a run that was cut off goes on to the same bits. */
  readonly checkpoint?: CheckpointOptions
  /** Goes on from the newest whole checkpoint: of this folder, or (true) of `checkpoint.dir`. */
  readonly resume?: string | boolean
  /** Hears from which checkpoint the run goes on, before its first step. */
  readonly onResume?: (from: { readonly step: number; readonly folder: string }) => void | Promise<void>
  /** Hears of each checkpoint that is half written or went bad; the one before it is taken. */
  readonly onSkippedCheckpoint?: (fault: GraftError) => void
}

export interface TrainResult {
  /** Steps done, those before the run was resumed counted. */
  readonly steps: number
  /** Of all these steps. */
  readonly losses: readonly number[]
  /** Of this call. */
  readonly seconds: number
  /** False when `signal` ended it early. */
  readonly finished: boolean
  /** The folder of the newest checkpoint, if there is one. */
  readonly checkpoint?: string
}

/** Tunes the parameters of `tuned` on `samples`. Resolves early, with the steps done so far, when `signal` aborts. */
export const train = async (tuned: Tuned, samples: readonly Sample[], options: TrainOptions): Promise<TrainResult> => {
  const {
    optimizer,
    schedule = constant(),
    epochs = 1,
    batchSize = 8,
    accumulate = 1,
    seed = 0,
    signal,
    onStep,
  } = options
  if (samples.length === 0)
    throw new GraftError({ code: 'no-data', culprit: 'samples', given: 'none', expected: 'at least one' })
  const perEpoch = Math.ceil(Math.ceil(samples.length / batchSize) / accumulate)
  const steps = options.steps ?? Math.max(1, Math.round(perEpoch * epochs))
  const started = performance.now()
  const saver = await startSaver(tuned, samples, options, steps)
  const { losses } = saver
  for (let step = losses.length + 1; step <= steps && !signal?.aborted; step++) {
    const begun = performance.now()
    const epoch = Math.floor((step - 1) / perEpoch)
    const rows = batches(samples, { batchSize, seed, epoch })
    const micro = rows.slice(((step - 1) % perEpoch) * accumulate, (((step - 1) % perEpoch) + 1) * accumulate)
    const lr = optimizer.learningRate * schedule(step - 1, steps)
    const done = await oneStep(
      tuned,
      micro.map((r) => collate(r, { padId: options.padId ?? 0 })),
      { ...options, step, lr },
    )
    losses.push(done.loss)
    const report = { ...done, step, steps, epoch, learningRate: lr, seconds: (performance.now() - begun) / 1000 }
    await onStep?.(report)
    await saver.afterStep(step)
    await breathe()
  }
  const checkpoint = await saver.atEnd()
  return {
    steps: losses.length,
    losses,
    seconds: (performance.now() - started) / 1000,
    finished: losses.length >= steps,
    ...(checkpoint !== undefined && { checkpoint }),
  }
}

/** Timers and signals get their turn. */
const breathe = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 0))

/** One optimiser step over several micro-batches, normalised by the supervised tokens of all of them. */
const oneStep = async (
  tuned: Tuned,
  micro: readonly Batch[],
  { optimizer, clip = 0, seed = 0, keep: kept = 'none', step, lr }: TrainOptions & { step: number; lr: number },
): Promise<Pick<StepReport, 'loss' | 'gradNorm' | 'targets' | 'tokens'>> => {
  const targets = micro.reduce((n, batch) => n + countTargets(batch), 0)
  if (targets === 0)
    throw new GraftError({
      code: 'nothing-to-learn',
      culprit: `step ${step}`,
      given: 'labels that are all -100',
      expected: 'at least one supervised token',
    })
  const grads = new Map<StoredParam, Tensor>()
  let loss = 0
  try {
    for (const [i, batch] of micro.entries()) {
      if (i > 0) await breathe()
      const call = { training: true, seed: passSeed(seed, step, i), keep: kept }
      const value = backward(
        () => mul(sum(forward(tuned, batch, call).nll(batch.labels!)), 1 / targets),
        (param, grad) => collect(grads, param as StoredParam, grad),
      )
      loss += value.dataSync()[0]!
      dispose(value)
    }
    const gradNorm = globalNorm([...grads.values()])
    requireFinite(loss, gradNorm, step)
    const scale = clipScale(gradNorm, clip)
    for (const [param, grad] of grads) optimizer.update(param, grad, { lr, step, gradScale: scale })
    return {
      loss,
      gradNorm,
      targets,
      tokens: micro.reduce((n, batch) => n + batch.mask!.flat().reduce((a, b) => a + b, 0), 0),
    }
  } finally {
    dispose([...grads.values()])
  }
}

const collect = (grads: Map<StoredParam, Tensor>, param: StoredParam, grad: Tensor): void => {
  const before = grads.get(param)
  grads.set(param, keep(before ? scope(() => add(before, grad)) : clone(grad)))
  if (before) dispose(before)
}

/** Every micro-batch of every step draws its own dropout masks. */
const passSeed = (seed: number, step: number, micro: number): number =>
  (Math.imul(seed + 1, 0x9e3779b1) ^ Math.imul(step, 0x85ebca6b) ^ Math.imul(micro + 1, 0xc2b2ae35)) >>> 0

const requireFinite = (loss: number, gradNorm: number, step: number): void => {
  if (Number.isFinite(loss) && Number.isFinite(gradNorm)) return
  throw new GraftError({
    code: 'non-finite',
    culprit: `step ${step}`,
    given: `loss ${loss}, gradient norm ${gradNorm}`,
    expected:
      'finite numbers: lower the learning rate, or look for a broken row; the parameters are as they were before this step',
  })
}
