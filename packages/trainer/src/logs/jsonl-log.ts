import type { TrainCallbacks } from '../callbacks.ts'
import { errorMessage } from '../report/error-message.ts'
import { fileSink } from './file-sink.ts'
import { fromLine, type LogRecord, toLine } from './log-line.ts'
import type { LogSink } from './log-sink.ts'

/**
 * A line of JSON for each step, evaluation and event, and one for the end; `type` says which. A number that is not finite
 * is the string "NaN", "Infinity" or "-Infinity". A run that starts at step 0 empties the log; one that is resumed after
 * step k first takes away what is behind k, what a kill cut off and the end. Each line is in the file once the callback is
 * done; a write that fails ends the run with `write-failed`.
 *
 * @param target a path (Node), or a sink.
 */
export const jsonlLog = (target: string | LogSink): TrainCallbacks => {
  const sink = typeof target === 'string' ? fileSink(target) : target
  let done = 0
  const add = (record: LogRecord): Promise<void> => sink.append(toLine(record))
  return {
    onStart: async ({ done: before }) => {
      done = before
      await sink.replace(before === 0 ? '' : upTo(await sink.read(), before))
    },
    onStep: (report) => {
      done = report.step
      return add({ type: 'step', ...report })
    },
    onEvaluation: (report) => add({ type: 'evaluation', ...report }),
    onEvent: (event) => add({ type: 'event', ...event }),
    onEnd: ({ reason, error }) =>
      add({ type: 'end', step: done, reason, ...(reason === 'failed' && { error: errorMessage(error) }) }),
  }
}

/** The lines of the steps up to `done`, byte for byte. */
const upTo = (text: string, done: number): string => {
  const kept = text.split('\n').filter((line) => {
    const record = fromLine(line)
    return record && record.type !== 'end' && record.step <= done
  })
  return kept.map((line) => `${line}\n`).join('')
}
