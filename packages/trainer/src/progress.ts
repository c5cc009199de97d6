import type { EvaluationReport, StepReport, TrainCallbacks } from './callbacks.ts'

export interface ProgressOptions {
  /** Overwrites one line (a terminal) or writes plain lines. */
  readonly live: boolean
  readonly write: (text: string) => void
  /** Steps between plain lines. Default: about twenty lines in all. */
  readonly every?: number
}

/** A run as lines: loss, tokens a second, memory, time left; evaluations and events as they come. */
export const progress = ({ live, write, every }: ProgressOptions): TrainCallbacks => {
  const times: number[] = []
  let open = false
  /** Below the line that is overwritten, if one stands there. */
  const line = (text: string): void => {
    write(`${open ? '\n' : ''}${text}\n`)
    open = false
  }
  return {
    onStep: (r) => {
      times.push(r.seconds)
      const recent = times.slice(-10)
      const left = ((r.steps - r.step) * recent.reduce((a, b) => a + b, 0)) / recent.length
      const last = r.step === r.steps
      if (live) write(`\r\x1b[2K${stepLine(r, left)}${last ? '\n' : ''}`)
      else if (r.step === 1 || last || r.step % (every ?? Math.max(1, Math.round(r.steps / 20))) === 0)
        write(`${stepLine(r, left)}\n`)
      open = live && !last
    },
    onEvaluation: (report) => line(evaluationLine(report)),
    onEvent: ({ message }) => line(message),
    onEnd: () => {
      if (open) write('\n')
      open = false
    },
  }
}

const stepLine = (r: StepReport, left: number): string =>
  [
    `step ${r.step}/${r.steps}`,
    `loss ${r.loss.toFixed(4)}`,
    `lr ${r.learningRate.toExponential(1)}`,
    `${Math.round(r.tokens / r.seconds)} tokens/s`,
    `${(r.bytes / 2 ** 20).toFixed(0)} MiB`,
    `${clock(left)} left`,
  ].join(' · ')

const evaluationLine = ({ step, metrics, best }: EvaluationReport): string =>
  [
    step === 0 ? 'before the first step' : `after step ${step}`,
    ...Object.entries(metrics).map(([name, value]) => `eval ${name} ${Number(value.toPrecision(4))}`),
    ...(best && step > 0 ? ['the best so far'] : []),
  ].join(' · ')

const clock = (seconds: number): string =>
  seconds < 90 ? `${Math.round(seconds)} s` : `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`
