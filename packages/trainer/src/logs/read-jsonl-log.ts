import { GraftError } from '@graftjs/tensor/error'
import type { EvaluationReport, StepReport, TrainEvent } from '../callbacks.ts'
import { fileSink } from './file-sink.ts'
import { fromLine, type LogEnd } from './log-line.ts'

export interface JsonlLog {
  readonly steps: readonly StepReport[]
  readonly evaluations: readonly EvaluationReport[]
  readonly events: readonly TrainEvent[]
  /** Absent while the run goes on, and where it was killed. */
  readonly end?: Omit<LogEnd, 'type'>
  /** Lines that are no record, such as one that a kill cut off. They are left out. */
  readonly unread: number
}

/** A log of `jsonlLog`, read back. Of two records of one step the later counts. */
export const parseJsonlLog = (text: string): JsonlLog => {
  const steps = new Map<number, StepReport>()
  const evaluations = new Map<number, EvaluationReport>()
  const events: TrainEvent[] = []
  let end: JsonlLog['end']
  let unread = 0
  for (const line of text.split('\n')) {
    if (line.trim() === '') continue
    const record = fromLine(line)
    if (!record) {
      unread++
      continue
    }
    // What comes after an end is of a run that was taken up again.
    end = undefined
    const { type, ...rest } = record
    if (type === 'step') steps.set(record.step, rest as StepReport)
    else if (type === 'evaluation') evaluations.set(record.step, rest as EvaluationReport)
    else if (type === 'event') events.push(rest as TrainEvent)
    else end = rest as Omit<LogEnd, 'type'>
  }
  return { steps: inOrder(steps), evaluations: inOrder(evaluations), events, ...(end && { end }), unread }
}

const inOrder = <T>(byStep: ReadonlyMap<number, T>): T[] =>
  [...byStep].sort(([a], [b]) => a - b).map(([, value]) => value)

/** The log at a path, in Node. Throws `no-file` where there is none or it is empty. */
export const readJsonlLog = async (path: string): Promise<JsonlLog> => {
  const text = await fileSink(path).read()
  if (text === '')
    throw new GraftError({ code: 'no-file', culprit: path, given: 'no log', expected: 'a file that jsonlLog wrote' })
  return parseJsonlLog(text)
}
