import type { Call, Tuned } from '@graftjs/core'
import type { Optimizer, Schedule } from '@graftjs/optim'
import { GraftError } from '@graftjs/tensor/error'
import { type TrainCallbacks, type TrainEnd, tell } from './callbacks.ts'
import type { CheckpointOptions } from './checkpoints.ts'
import { checkEvaluation, type EvaluationOptions, type Judged, judge } from './evaluation.ts'
import { type PlanOptions, planSteps, requireRows, type TrainData } from './plan-steps.ts'
import { runSteps } from './run-steps.ts'
import { startSaver } from './start-saver.ts'

export interface TrainOptions extends PlanOptions {
  readonly optimizer: Optimizer
  /** Factor on the optimiser's learning rate at a step. Default: constant. */
  readonly schedule?: Schedule
  /** Largest global gradient norm; 0 (the default) clips nothing. */
  readonly clip?: number
  /** Noise on the embeddings while training: NEFTune's alpha, such as 5; 0 (the default) for none. */
  readonly neftuneNoiseAlpha?: number
  /** What the walk back has at hand; see `Call.keep`. */
  readonly keep?: Call['keep']
  /** Fills short rows; masked, so any id does. Default 0. */
  readonly padId?: number
  /**
   * What happens where a loss or gradient is not finite; the step is never made. `skip` (the default) says so and goes on, `stop`
   * throws, `rollback` also goes back to the newest periodic checkpoint. Ten such steps in a row end the run in any case.
   */
  readonly nonFinite?: 'skip' | 'stop' | 'rollback'
  /** What happens where some parameter has had no gradient in the first three steps. Default `error`. */
  readonly gradientCheck?: 'error' | 'warn' | 'off'
  /** Measures rows held out before, during and after. */
  readonly evaluation?: EvaluationOptions
  /** Ends the run after the step that is under way; with `checkpoint`, a checkpoint is written then. */
  readonly signal?: AbortSignal
  readonly callbacks?: readonly TrainCallbacks[]
  /** Writes checkpoints, from which a run that was cut off goes on to the same bits. */
  readonly checkpoint?: CheckpointOptions
  /** Goes on from the newest whole checkpoint: of this folder, or (true) of `checkpoint.dir`. */
  readonly resume?: string | boolean
}

export interface TrainResult {
  /** Steps done, those before the run was resumed counted. */
  readonly steps: number
  /** Of all these steps; NaN where one was skipped. */
  readonly losses: readonly number[]
  readonly evaluations: readonly Judged[]
  /** The best of them. */
  readonly best?: Judged
  /** Of this call. */
  readonly seconds: number
  /** False when `signal` ended it early. */
  readonly finished: boolean
  readonly reason: Exclude<TrainEnd['reason'], 'failed'>
  /** The folder of the newest checkpoint, if there is one. */
  readonly checkpoint?: string
}

/** Tunes the parameters of `tuned` on `data`. Resolves early, with the steps done so far, when `signal` aborts. */
export const train = async (tuned: Tuned, data: TrainData, options: TrainOptions): Promise<TrainResult> => {
  requireRows(data)
  checkOptions(options)
  const started = performance.now()
  const plan = planSteps(data, options)
  const saver = await startSaver(tuned, data, options, plan.steps)
  const { callbacks, evaluation } = options
  try {
    const { reason, checkpoint } = await runSteps(tuned, plan, saver, options)
    await tell(callbacks, 'onEnd', { reason })
    const { losses, evaluations } = saver
    const best = evaluation && judge(evaluations, evaluation).best
    return {
      steps: losses.length,
      losses,
      evaluations,
      ...(best && { best }),
      seconds: (performance.now() - started) / 1000,
      finished: reason !== 'aborted',
      reason,
      ...(checkpoint !== undefined && { checkpoint }),
    }
  } catch (error) {
    // What failed first is what is told.
    await tell(callbacks, 'onEnd', { reason: 'failed', error }).catch(() => {})
    throw error
  }
}

const checkOptions = ({
  evaluation,
  checkpoint,
  nonFinite = 'skip',
  neftuneNoiseAlpha = 0,
  gradientCheck = 'error',
}: TrainOptions): void => {
  if (evaluation) checkEvaluation(evaluation, checkpoint !== undefined)
  const bad = (culprit: string, given: string, expected: string): GraftError =>
    new GraftError({ code: 'bad-option', culprit, given, expected })
  if (!['skip', 'stop', 'rollback'].includes(nonFinite)) throw bad('nonFinite', nonFinite, 'skip, stop or rollback')
  if (!['error', 'warn', 'off'].includes(gradientCheck)) throw bad('gradientCheck', gradientCheck, 'error, warn or off')
  if (nonFinite === 'rollback' && checkpoint?.everySteps === undefined)
    throw bad('nonFinite', 'rollback without checkpoint.everySteps', 'checkpoints to go back to')
  if (!(neftuneNoiseAlpha >= 0 && Number.isFinite(neftuneNoiseAlpha)))
    throw bad('neftuneNoiseAlpha', String(neftuneNoiseAlpha), 'a number ≥ 0')
}
