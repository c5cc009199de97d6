import type { Tuned } from '@graftjs/core'
import type { Sample } from '@graftjs/data'
import { GraftError } from '@graftjs/tensor/error'
import type { Continuation, EvaluationReport } from './callbacks.ts'
import { evaluate } from './evaluate.ts'

export interface EvaluationOptions {
  /** Rows held out; their mean loss a supervised token is the metric `loss`. */
  readonly samples?: readonly Sample[]
  /** Steps from evaluation to evaluation. There is always one before the first step and one after the last. */
  readonly everySteps?: number
  /** Rows a pass. Default: the batch size of training. */
  readonly batchSize?: number
  /** More metrics, by name. */
  readonly metrics?: (tuned: Tuned) => Promise<Readonly<Record<string, number>>>
  /** What the model says now to some prompts, for the logs and the report. */
  readonly continuations?: (tuned: Tuned) => Promise<readonly Continuation[]>
  /** The metric by which evaluations are compared. Default `loss`. */
  readonly metric?: string
  /** Default false: the lowest is the best. */
  readonly greaterIsBetter?: boolean
  /** Ends the run once so many evaluations in a row have brought nothing better. */
  readonly earlyStopping?: {
    readonly patience: number
    /** By how much the metric must be better to count. Default 0. */
    readonly minDelta?: number
  }
  /** Ends with the parameters of the best evaluation; wants `checkpoint`. Default: where there is one and `earlyStopping`. */
  readonly restoreBest?: boolean
}

/** An evaluation as a checkpoint remembers it. */
export interface Judged {
  readonly step: number
  readonly metrics: Readonly<Record<string, number>>
}

export interface Verdict {
  readonly best?: Judged
  /** Evaluations after the best one. */
  readonly since: number
}

/** Which of the evaluations is the best; the first of equals. One without a number is never better. */
export const judge = (
  history: readonly Judged[],
  { metric = 'loss', greaterIsBetter = false, earlyStopping: { minDelta = 0 } = { patience: 0 } }: EvaluationOptions,
): Verdict => {
  const sign = greaterIsBetter ? -1 : 1
  const cost = (at: Judged): number => sign * (at.metrics[metric] ?? Number.NaN)
  let [best, since] = [undefined as Judged | undefined, 0]
  for (const at of history) {
    const better = best ? cost(at) < cost(best) - minDelta : Number.isFinite(cost(at))
    since = better ? 0 : since + 1
    if (better) best = at
  }
  return best ? { best, since } : { since }
}

/** Whether patience has run out. */
export const hasEnough = (history: readonly Judged[], options: EvaluationOptions | undefined): boolean =>
  options?.earlyStopping !== undefined && judge(history, options).since >= options.earlyStopping.patience

/** Whether the run ends with the best evaluation's parameters. */
export const restoresBest = (options: EvaluationOptions | undefined, checkpoints: boolean): boolean =>
  options?.restoreBest ?? (options?.earlyStopping !== undefined && checkpoints)

export const isDue = (step: number, { everySteps }: EvaluationOptions): boolean =>
  step === 0 || (everySteps !== undefined && step % everySteps === 0)

/** Measures the model as it stands. */
export const runEvaluation = async (
  tuned: Tuned,
  step: number,
  history: readonly Judged[],
  options: EvaluationOptions,
  batchSize: number,
): Promise<EvaluationReport> => {
  const { samples, metrics: more, continuations, metric = 'loss' } = options
  const from = performance.now()
  const loss = samples && (await evaluate(tuned, samples, { batchSize: options.batchSize ?? batchSize }))
  const metrics = { ...(loss !== undefined && { loss }), ...(await more?.(tuned)) }
  requireMetric(metrics, metric, options)
  const said = (await continuations?.(tuned)) ?? []
  const here = { step, metrics }
  return {
    step,
    metrics,
    best: judge([...history, here], options).best === here,
    continuations: said,
    seconds: (performance.now() - from) / 1000,
  }
}

const requireMetric = (metrics: object, metric: string, { earlyStopping, restoreBest }: EvaluationOptions): void => {
  if (metric in metrics || !(earlyStopping || restoreBest)) return
  const known = Object.keys(metrics)
  throw new GraftError({
    code: 'bad-option',
    culprit: 'evaluation.metric',
    given: JSON.stringify(metric),
    expected: known.length
      ? `one of ${known.join(', ')}`
      : 'rows to measure it on: evaluation.samples, or evaluation.metrics',
  })
}

/** Said before the first step. */
export const checkEvaluation = (
  { samples, everySteps, batchSize = 1, earlyStopping, restoreBest }: EvaluationOptions,
  checkpoints: boolean,
): void => {
  const whole = { everySteps: everySteps ?? 1, batchSize, 'earlyStopping.patience': earlyStopping?.patience ?? 1 }
  for (const [name, value] of Object.entries(whole))
    if (!Number.isInteger(value) || value < 1) throw bad(name, String(value), 'a whole number ≥ 1')
  const minDelta = earlyStopping?.minDelta ?? 0
  if (!(minDelta >= 0 && Number.isFinite(minDelta)))
    throw bad('earlyStopping.minDelta', String(minDelta), 'a number ≥ 0')
  if (earlyStopping && everySteps === undefined)
    throw bad('earlyStopping', 'patience without everySteps', 'everySteps: evaluations while it trains')
  if (samples?.length === 0) throw bad('samples', 'none', 'at least one row, or no samples')
  if (restoreBest && !checkpoints)
    throw bad('restoreBest', 'true without checkpoint', 'checkpoint.dir, where the best is kept until the end')
}

const bad = (name: string, given: string, expected: string): GraftError =>
  new GraftError({ code: 'bad-option', culprit: `evaluation.${name}`, given, expected })
