import { atomicWrite } from '@graftjs/files'
import type { EvaluationReport, StepReport, TrainCallbacks, TrainEvent } from '../callbacks.ts'
import { fileSink } from '../logs/file-sink.ts'
import type { LogSink } from '../logs/log-sink.ts'
import { parseJsonlLog } from '../logs/read-jsonl-log.ts'
import { errorMessage } from './error-message.ts'
import { reportHtml } from './report-html.ts'
import type { RunRecord } from './run-record.ts'

export interface ReportOptions extends Omit<RunRecord, 'steps' | 'evaluations' | 'events' | 'end' | 'title'> {
  /** The file, such as `out/report.html`. Folders above it are made. */
  readonly path: string
  /** Default `Training run`. */
  readonly title?: string
  /** The log that `jsonlLog` writes of this run: a resumed run has its earlier steps from there. */
  readonly log?: string | LogSink
  /** Seconds between the pages of a run that goes on. Default 10. */
  readonly everySeconds?: number
  /** Hears of a page that could not be written, once the first was. Default: the last page throws. */
  readonly onFault?: (error: unknown) => void
  /** Writes a page. Default: over the file at `path`, all or nothing. */
  readonly write?: (path: string, html: string) => Promise<void>
}

/** Of the run's time, pages take no more than about this part. */
const SHARE = 0.02

/**
 * Collects a run and writes it as a page of HTML: at its start, so that a path that cannot be written is said then; every so
 * often while it runs, when the page loads itself again; and at its end, also of a run that failed. See `reportHtml`.
 */
export const report = (options: ReportOptions): TrainCallbacks => {
  const { path, log, everySeconds = 10, onFault, write = writeFile, title = 'Training run', ...about } = options
  const steps: StepReport[] = []
  const evaluations: EvaluationReport[] = []
  const events: TrainEvent[] = []
  let next = 0
  const page = async (end?: RunRecord['end']): Promise<void> => {
    const began = performance.now()
    const started = about.started ?? startedAt
    const run: RunRecord = {
      title,
      ...about,
      ...(started && { started }),
      steps,
      evaluations,
      events,
      ...(end && { end }),
    }
    await write(path, reportHtml(run, { refreshSeconds: everySeconds }))
    const took = performance.now() - began
    next = performance.now() + Math.max(1000 * everySeconds, took / SHARE)
  }
  const pageIfDue = async (): Promise<void> => {
    if (performance.now() < next) return
    await page().catch((error: unknown) => {
      next = performance.now() + 1000 * everySeconds
      onFault?.(error)
    })
  }
  let startedAt: string | undefined
  return {
    onStart: async ({ done }) => {
      startedAt = `${new Date().toISOString().slice(0, 16).replace('T', ' ')} UTC`
      const before = await earlier(log, done)
      steps.splice(0, steps.length, ...before.steps)
      evaluations.splice(0, evaluations.length, ...before.evaluations)
      events.splice(0, events.length, ...before.events)
      await page()
    },
    onStep: (step) => {
      steps.push(step)
      return pageIfDue()
    },
    onEvaluation: (evaluation) => {
      evaluations.push(evaluation)
      return pageIfDue()
    },
    onEvent: (event) => {
      events.push(event)
      return pageIfDue()
    },
    onEnd: async ({ reason, error }) => {
      const end = { reason, ...(reason === 'failed' && { error: errorMessage(error) }) }
      await page(end).catch((fault: unknown) => {
        if (!onFault) throw fault
        onFault(fault)
      })
    },
  }
}

const writeFile = (path: string, html: string): Promise<void> => atomicWrite(path, new TextEncoder().encode(html))

/** What the log knows of the steps up to `done`. */
const earlier = async (
  log: string | LogSink | undefined,
  done: number,
): Promise<Pick<RunRecord, 'steps' | 'evaluations' | 'events'>> => {
  if (log === undefined || done === 0) return { steps: [], evaluations: [], events: [] }
  const before = parseJsonlLog(await (typeof log === 'string' ? fileSink(log) : log).read())
  const known = <T extends { readonly step: number }>(records: readonly T[]): T[] =>
    records.filter(({ step }) => step <= done)
  return { steps: known(before.steps), evaluations: known(before.evaluations), events: known(before.events) }
}
