import type { Json } from '@graftjs/files'
import type { EvaluationReport, StepReport, TrainEnd, TrainEvent } from '../callbacks.ts'

/** A token of a row, for the excerpt of the mask. */
export interface MaskToken {
  readonly text: string
  /** Whether the loss counts it. */
  readonly learnt: boolean
  /** One of the template's or tokenizer's own, such as an end of turn. */
  readonly special?: boolean
}

/** All that a report shows of a run. `parseJsonlLog` gives its steps, evaluations, events and end. */
export interface RunRecord {
  readonly title: string
  /** When it began, as it is to be shown. */
  readonly started?: string
  readonly recipe?: Json
  /** By name, such as `node`. */
  readonly versions?: Readonly<Record<string, string>>
  /** By name: the model, the method, the device, threads. */
  readonly facts?: Readonly<Record<string, string>>
  /** How many numbers are trained, of how many. */
  readonly parameters?: { readonly trainable: number; readonly all: number }
  /** By ascending step. */
  readonly steps: readonly StepReport[]
  /** By ascending step. */
  readonly evaluations: readonly EvaluationReport[]
  readonly events: readonly TrainEvent[]
  /** Absent while it runs. */
  readonly end?: { readonly reason: TrainEnd['reason']; readonly error?: string }
  /** A few rows by their tokens. */
  readonly mask?: readonly (readonly MaskToken[])[]
}
