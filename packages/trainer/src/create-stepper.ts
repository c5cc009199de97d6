import type { Patch, Tuned } from '@graftjs/core'
import { collate, type Row } from '@graftjs/data'
import { simdInfo } from '@graftjs/kernels'
import { constant } from '@graftjs/optim'
import { memory } from '@graftjs/tensor'
import { GraftError } from '@graftjs/tensor/error'
import { tell } from './callbacks.ts'
import { type Culprits, findCulprits } from './find-culprits.ts'
import { gradientCheck } from './gradient-check.ts'
import { type MicroBatch, makeStep, type StepOutcome } from './make-step.ts'
import { neftune } from './neftune.ts'
import type { StepPlan } from './plan-steps.ts'
import type { Say } from './run-steps.ts'
import type { Saver } from './start-saver.ts'
import type { TrainOptions } from './train.ts'

/** Steps in a row that may be skipped before the run is given up. */
const MOST_SKIPPED = 10

/** Makes one step, says what came of it, and sees to steps that went wrong. */
export const createStepper = (
  tuned: Tuned,
  plan: StepPlan,
  saver: Saver,
  options: TrainOptions,
  say: Say,
): ((step: number) => Promise<void>) => {
  const { optimizer, schedule = constant(), clip = 0, callbacks, neftuneNoiseAlpha: alpha = 0 } = options
  const check = gradientCheck(tuned.params.all.values())
  const noise = alpha > 0 ? neftune(tuned.model, alpha) : undefined
  return async (step) => {
    const begun = performance.now()
    const { epoch, micro } = plan.rowsOf(step)
    const passes = micro.map((rows, i) => toPass(rows, step, i, noise, options))
    const learningRate = optimizer.learningRate * schedule(step - 1, plan.steps)
    const outcome = await makeStep(tuned, passes, { optimizer, clip, step, lr: learningRate })
    const { squares, made, ...numbers } = outcome
    const culprits = made ? undefined : await findCulprits(tuned, passes, squares)
    saver.losses.push(made ? outcome.loss : Number.NaN)
    await tell(callbacks, 'onStep', {
      ...numbers,
      step,
      steps: plan.steps,
      epoch,
      learningRate,
      seconds: (performance.now() - begun) / 1000,
      bytes: simdInfo()?.memoryBytes ?? memory().bytes,
      skipped: !made,
    })
    if (culprits) await seeToIt(step, outcome, culprits, saver, options, say, plan.steps)
    const fault = check(step, outcome, learningRate)
    if (!fault || options.gradientCheck === 'off') return
    if (options.gradientCheck !== 'warn') throw fault
    await say('no-gradient', fault.message)
  }
}

const toPass = (
  rows: readonly Row[],
  step: number,
  i: number,
  noise: readonly Patch[] | undefined,
  { seed = 0, keep = 'none', padId = 0 }: TrainOptions,
): MicroBatch & { readonly rows: readonly Row[] } => ({
  rows,
  batch: collate(rows, { padId }),
  call: { training: true, seed: passSeed(seed, step, i), keep, ...(noise && { patches: noise }) },
})

/** Every micro-batch of every step draws its own dropout masks. */
const passSeed = (seed: number, step: number, micro: number): number =>
  (Math.imul(seed + 1, 0x9e3779b1) ^ Math.imul(step, 0x85ebca6b) ^ Math.imul(micro + 1, 0xc2b2ae35)) >>> 0

/** A step that was not made is said; by the policy, the run ends, goes back or goes on. */
const seeToIt = async (
  step: number,
  { loss, gradNorm }: StepOutcome,
  culprits: Culprits,
  saver: Saver,
  { nonFinite = 'skip' }: TrainOptions,
  say: Say,
  steps: number,
): Promise<void> => {
  const what = Number.isFinite(loss) ? `a gradient norm of ${gradNorm}` : `a loss of ${loss}`
  const found = described(culprits)
  const inARow = saver.losses.length - 1 - saver.losses.findLastIndex(Number.isFinite)
  if (nonFinite === 'stop' || inARow >= Math.min(MOST_SKIPPED, steps)) throw given(step, what + found, inARow)
  const { rows, parameters, site } = culprits
  await say('non-finite', `step ${step} is skipped: ${what}${found}`, {
    rows: [...rows],
    parameters: [...parameters],
    ...(site !== undefined && { site }),
  })
  if (nonFinite !== 'rollback') return
  const to = await saver.rollBack()
  await say('rolled-back', `the parameters are those of step ${to} again`, { to })
}

const described = ({ site, rows, parameters }: Culprits): string => {
  const few = (list: readonly (string | number)[]): string =>
    list.slice(0, 4).join(', ') + (list.length > 4 ? ', …' : '')
  return [
    ...(site === undefined ? [] : [`; first at ${site}`]),
    ...(rows.length ? [`; ${rows.length === 1 ? 'row' : 'rows'} ${few(rows)} of the data`] : []),
    ...(parameters.length && !rows.length ? [`; in the gradient of ${few(parameters)}`] : []),
  ].join('')
}

const given = (step: number, what: string, inARow: number): GraftError =>
  new GraftError({
    code: 'non-finite',
    culprit: `step ${step}`,
    given: inARow > 1 ? `${what}, the ${inARow}th step in a row` : what,
    expected:
      'finite numbers: lower the learning rate, or look at the rows named; the parameters are as they were before this step',
  })
