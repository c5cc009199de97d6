import type { EvaluationReport, StepReport, TrainEnd, TrainEvent } from '../callbacks.ts'

/** A line of a JSONL log. */
export type LogRecord =
  | ({ readonly type: 'step' } & StepReport)
  | ({ readonly type: 'evaluation' } & EvaluationReport)
  | ({ readonly type: 'event' } & TrainEvent)
  | LogEnd

export interface LogEnd {
  readonly type: 'end'
  /** Steps done. */
  readonly step: number
  readonly reason: TrainEnd['reason']
  /** The message of the error, where it failed. */
  readonly error?: string
}

/** JSON has no NaN and no infinity: they become the strings that `Number()` and Python's `float()` read back. */
export const toLine = (record: LogRecord): string =>
  `${JSON.stringify(record, (_, value: unknown) =>
    typeof value === 'number' && !Number.isFinite(value) ? String(value) : value,
  )}\n`

/** Undefined for what is no record, such as a line that a kill cut off. */
export const fromLine = (line: string): LogRecord | undefined => {
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch {
    return undefined
  }
  return isRecord(value) ? withNumbers(value) : undefined
}

const isRecord = (value: unknown): value is LogRecord => {
  if (typeof value !== 'object' || value === null) return false
  const { type, step, metrics, continuations, code, message, reason } = value as Record<string, unknown>
  if (!Number.isInteger(step)) return false
  if (type === 'step') return NUMBERS.every((key) => isNumber((value as Record<string, unknown>)[key]))
  if (type === 'evaluation') return typeof metrics === 'object' && metrics !== null && Array.isArray(continuations)
  if (type === 'event') return typeof code === 'string' && typeof message === 'string'
  return type === 'end' && typeof reason === 'string'
}

const NUMBERS = ['steps', 'epoch', 'loss', 'learningRate', 'gradNorm', 'targets', 'tokens', 'seconds', 'bytes'] as const

const isNumber = (value: unknown): boolean =>
  typeof value === 'number' || (typeof value === 'string' && NOT_FINITE.includes(value))

const NOT_FINITE: readonly unknown[] = ['NaN', 'Infinity', '-Infinity']

/** Only where a number belongs: a prompt may well be the word NaN. */
const withNumbers = (record: LogRecord): LogRecord => {
  if (record.type === 'step')
    return { ...record, ...Object.fromEntries(NUMBERS.map((key) => [key, Number(record[key])])) }
  if (record.type !== 'evaluation') return record
  const metrics = Object.fromEntries(Object.entries(record.metrics).map(([name, value]) => [name, Number(value)]))
  return { ...record, metrics, seconds: Number(record.seconds) }
}
