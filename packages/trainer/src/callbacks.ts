import type { JsonObject } from '@graftjs/files'

export interface StepReport {
  /** From 1. */
  readonly step: number
  readonly steps: number
  /** From 0. */
  readonly epoch: number
  /** Mean negative log-likelihood a supervised token, over the whole accumulated batch. NaN or ±∞ where the step was skipped for it. */
  readonly loss: number
  readonly learningRate: number
  /** Global norm before clipping. */
  readonly gradNorm: number
  /** Supervised tokens of this step. */
  readonly targets: number
  /** All tokens of this step, padding left out. */
  readonly tokens: number
  readonly seconds: number
  /** Held by the backend once the step is done. */
  readonly bytes: number
  /** True where a non-finite number kept the step from being made. */
  readonly skipped: boolean
}

/** What the model says to a prompt at some moment of its training. */
export interface Continuation {
  readonly prompt: string
  readonly text: string
}

export interface EvaluationReport {
  /** Steps done; 0: before the first. */
  readonly step: number
  /** `loss` (mean negative log-likelihood a supervised token of the rows held out), where there are such rows, and what `evaluation.metrics` adds. */
  readonly metrics: Readonly<Record<string, number>>
  /** Of all evaluations up to now, by the metric that decides. */
  readonly best: boolean
  readonly continuations: readonly Continuation[]
  readonly seconds: number
}

/** Something to be said beside the numbers. */
export interface TrainEvent {
  readonly code:
    | 'resumed'
    | 'checkpoint'
    | 'checkpoint-passed-over'
    | 'non-finite'
    | 'rolled-back'
    | 'no-gradient'
    | 'stopped-early'
    | 'best-restored'
  /** Steps done. */
  readonly step: number
  /** One line for people. */
  readonly message: string
  /** For programs, by code. */
  readonly details: JsonObject
}

export interface TrainStart {
  /** Steps that were done before this call: 0 unless the run was resumed. */
  readonly done: number
  readonly steps: number
}

export interface TrainEnd {
  /** Why it ended. */
  readonly reason: 'finished' | 'stopped-early' | 'aborted' | 'failed'
  /** Of `failed`. */
  readonly error?: unknown
}

type Hook<T> = (value: T) => void | Promise<void>

/** Whoever wants to hear of a run: progress lines, logs, a report. The run waits for each; what one throws ends it. */
export interface TrainCallbacks {
  readonly onStart?: Hook<TrainStart>
  readonly onStep?: Hook<StepReport>
  readonly onEvaluation?: Hook<EvaluationReport>
  readonly onEvent?: Hook<TrainEvent>
  /** Also where the run failed. */
  readonly onEnd?: Hook<TrainEnd>
}

/** Tells all of them, one after the other. */
export const tell = async <K extends keyof TrainCallbacks>(
  callbacks: readonly TrainCallbacks[] | undefined,
  hook: K,
  value: Parameters<NonNullable<TrainCallbacks[K]>>[0],
): Promise<void> => {
  for (const callback of callbacks ?? []) await (callback[hook] as Hook<typeof value> | undefined)?.(value)
}
