import type { Tuned } from '@graftjs/core'
import type { JsonObject } from '@graftjs/files'
import { type TrainEnd, type TrainEvent, tell } from './callbacks.ts'
import { createStepper } from './create-stepper.ts'
import { hasEnough, isDue, judge, restoresBest, runEvaluation } from './evaluation.ts'
import { breathe } from './make-step.ts'
import type { StepPlan } from './plan-steps.ts'
import type { Saver } from './start-saver.ts'
import type { TrainOptions } from './train.ts'

export type Say = (code: TrainEvent['code'], message: string, details?: JsonObject) => Promise<void>

interface Ended {
  readonly reason: Exclude<TrainEnd['reason'], 'failed'>
  /** The folder of the newest checkpoint. */
  readonly checkpoint?: string
}

/** The loop: from where the saver stands to the last step, the last evaluation that patience allows, or the abort. */
export const runSteps = async (tuned: Tuned, plan: StepPlan, saver: Saver, options: TrainOptions): Promise<Ended> => {
  const { signal, evaluation, callbacks } = options
  const { losses, evaluations } = saver
  const say: Say = (code, message, details = {}) =>
    tell(callbacks, 'onEvent', { code, step: losses.length, message, details })
  const restores = restoresBest(evaluation, options.checkpoint !== undefined)
  const allDone = (): boolean => losses.length >= plan.steps
  const ended = (): boolean => allDone() || hasEnough(evaluations, evaluation)
  let checkpoint = saver.resumedFrom
  const save = async (): Promise<void> => {
    const saved = await saver.save()
    if (saved?.fresh) await say('checkpoint', `checkpoint written to ${saved.folder}`, { folder: saved.folder })
    checkpoint = saved?.folder
  }
  /** What is due between two steps. The evaluation comes first: a checkpoint knows of it. */
  const settle = async (): Promise<void> => {
    const step = losses.length
    const measured = evaluations.at(-1)?.step === step
    let due = saver.isDue(step)
    if (evaluation && !measured && (allDone() || isDue(step, evaluation))) {
      const report = await runEvaluation(tuned, step, evaluations, evaluation, options.batchSize ?? 8)
      evaluations.push({ step, metrics: report.metrics })
      await tell(callbacks, 'onEvaluation', report)
      due ||= report.best && (restores || options.checkpoint?.everySteps !== undefined)
    }
    if (due) await save()
  }

  await tell(callbacks, 'onStart', { done: losses.length, steps: plan.steps })
  await sayResumed(saver, say)
  const makeOne = createStepper(tuned, plan, saver, options, say)
  if (!signal?.aborted) await settle()
  while (!ended() && !signal?.aborted) {
    await makeOne(losses.length + 1)
    await settle()
    await breathe()
  }
  // Also at the end, so that taking a finished run up again does nothing.
  if (!ended() || options.checkpoint?.everySteps || checkpoint !== undefined) await save()
  if (!ended()) return withCheckpoint('aborted', checkpoint)
  if (!allDone()) await sayStoppedEarly(saver, options, say)
  if (restores) await restoreBest(saver, options, say)
  return withCheckpoint(allDone() ? 'finished' : 'stopped-early', checkpoint)
}

const withCheckpoint = (reason: Ended['reason'], checkpoint: string | undefined): Ended => ({
  reason,
  ...(checkpoint !== undefined && { checkpoint }),
})

const sayResumed = async ({ passedOver, resumedFrom, losses }: Saver, say: Say): Promise<void> => {
  for (const { message } of passedOver)
    await say('checkpoint-passed-over', `a checkpoint was passed over: ${message}`, { fault: message })
  if (resumedFrom !== undefined)
    await say('resumed', `going on after step ${losses.length}, from ${resumedFrom}`, { folder: resumedFrom })
}

const sayStoppedEarly = async ({ evaluations }: Saver, { evaluation }: TrainOptions, say: Say): Promise<void> => {
  const { best, since } = judge(evaluations, evaluation!)
  const than = best ? `better than that of step ${best.step}` : 'that is a number'
  await say('stopped-early', `stopped early: ${since} evaluations in a row and none ${than}`, { since })
}

const restoreBest = async (saver: Saver, { evaluation }: TrainOptions, say: Say): Promise<void> => {
  const { best } = judge(saver.evaluations, evaluation!)
  if (!best || best.step === saver.losses.length) return
  await saver.restore(best.step)
  await say('best-restored', `the parameters are those of step ${best.step}, the best evaluation`, { best: best.step })
}
