import type { StepReport } from './train.ts'

export interface ProgressOptions {
  /** Overwrites one line (a terminal) or writes plain lines. */
  readonly live: boolean
  readonly write: (text: string) => void
  /** Bytes held now, for the line. */
  readonly bytes?: () => number
  /** Steps between plain lines. Default: about twenty lines in all. */
  readonly every?: number
}

/** Turns step reports into lines: loss, tokens a second, memory, time left. */
export const progress = ({ live, write, bytes, every }: ProgressOptions): ((report: StepReport) => void) => {
  const times: number[] = []
  return (r) => {
    times.push(r.seconds)
    const recent = times.slice(-10)
    const left = ((r.steps - r.step) * recent.reduce((a, b) => a + b, 0)) / recent.length
    const line = [
      `step ${r.step}/${r.steps}`,
      `loss ${r.loss.toFixed(4)}`,
      `lr ${r.learningRate.toExponential(1)}`,
      `${Math.round(r.tokens / r.seconds)} tokens/s`,
      ...(bytes ? [`${(bytes() / 2 ** 20).toFixed(0)} MiB`] : []),
      `${clock(left)} left`,
    ].join(' · ')
    const last = r.step === r.steps
    if (live) write(`\r\x1b[2K${line}${last ? '\n' : ''}`)
    else if (r.step === 1 || last || r.step % (every ?? Math.max(1, Math.round(r.steps / 20))) === 0) write(`${line}\n`)
  }
}

const clock = (seconds: number): string =>
  seconds < 90 ? `${Math.round(seconds)} s` : `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`
