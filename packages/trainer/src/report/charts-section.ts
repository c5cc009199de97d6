import type { StepReport } from '../callbacks.ts'
import { type Chart, chartHtml, type Series } from './chart-html.ts'
import { downSample, type Point } from './down-sample.ts'
import { digits, whole } from './format.ts'
import type { RunRecord } from './run-record.ts'
import { linearScale, logScale, type Scale, stepScale } from './scale.ts'
import { smooth } from './smooth.ts'

/** Enough for a screen; with them a report of 100,000 steps stays near 150 kB. */
const [BUCKETS, SMALL_BUCKETS] = [500, 250]
const FEWEST_TO_SMOOTH = 12
const METRIC_CHARTS = 6

export const chartsSection = (run: RunRecord): string => {
  const last = Math.max(run.steps.at(-1)?.step ?? 0, run.evaluations.at(-1)?.step ?? 0)
  const axis = { x: stepScale(last), last }
  const charts = [lossChart(run, axis), ...stepCharts(run.steps, axis), ...metricCharts(run, axis)]
  const shown = charts.filter(({ series }) => series.some(({ points }) => points.length > 0))
  if (shown.length === 0) return ''
  return `<section><h2>Curves</h2><div class="charts">\n${shown.map((chart, i) => chartHtml(chart, `c${i}`)).join('\n')}\n</div></section>`
}

type Axis = Pick<Chart, 'x' | 'last'>

const pointsOf = (steps: readonly StepReport[], value: (step: StepReport) => number): Point[] =>
  steps.map((step) => [step.step, value(step)])

/** The last evaluation that was the best when it was made is the best of all. */
export const bestStep = ({ evaluations }: RunRecord): number | undefined =>
  evaluations.findLast(({ best }) => best)?.step

const heldOut = (run: RunRecord, metric: string): Point[] =>
  run.evaluations.flatMap(({ step, metrics }): Point[] => {
    const value = metrics[metric]
    return value !== undefined && Number.isFinite(value) ? [[step, value]] : []
  })

const lossChart = (run: RunRecord, axis: Axis): Chart => {
  const raw = pointsOf(run.steps, ({ loss }) => loss)
  const held = heldOut(run, 'loss')
  const smoothed = raw.length >= FEWEST_TO_SMOOTH ? smooth(raw, spanOf(raw)) : []
  const kept = downSample(raw, BUCKETS)
  const series: Series[] = [
    { name: 'each step', look: smoothed.length ? 'raw' : 'main', points: kept },
    { name: 'smoothed', look: 'main', points: downSample(smoothed, SMALL_BUCKETS) },
    { name: 'held out', look: 'held', points: downSample(held, SMALL_BUCKETS) },
  ].filter(({ points }) => points.length > 0) as Series[]
  const skipped = run.steps.filter(({ skipped }) => skipped).map(({ step }) => step)
  return {
    ...axis,
    title: 'Loss',
    description: `Mean negative log-likelihood a token, by step. ${inWords(kept)}${skippedWords(skipped.length)}`,
    large: true,
    y: lossScale(series.flatMap(({ points }) => points.map(([, value]) => value))),
    series,
    skipped,
    best: bestStep(run),
    notes: run.events.filter(({ code }) => code in NOTES).map(({ step, code }) => ({ step, text: NOTES[code]! })),
    format: digits,
    summary: kept.length ? `last ${digits(kept.at(-1)![1])}` : '',
  }
}

const skippedWords = (count: number): string =>
  count ? ` ${whole(count)} ${count === 1 ? 'step was' : 'steps were'} skipped.` : ''

const NOTES: Readonly<Record<string, string>> = {
  resumed: 'resumed',
  'rolled-back': 'rolled back',
  'stopped-early': 'stopped early',
}

/** A fortieth of the run, as many steps as that is. */
const spanOf = ({ length }: readonly Point[]): number => Math.max(3, length / 40)

const NOISY: ReadonlySet<string> = new Set(['Gradient norm', 'Tokens a second'])

/** Linear, unless a spike would press the rest flat. */
const lossScale = (values: readonly number[]): Scale => {
  const sorted = [...values].sort((a, b) => a - b)
  const [median, most] = [sorted[Math.floor(sorted.length / 2)] ?? 0, sorted.at(-1) ?? 0]
  return median > 0 && most > 20 * median ? logScale(values) : linearScale(values)
}

/** Logarithmic from two decades on. */
const normScale = (values: readonly number[]): Scale => {
  const sorted = values.filter((v) => v > 0).sort((a, b) => a - b)
  return sorted.length && sorted.at(-1)! >= 100 * sorted[0]! ? logScale(values) : linearScale(values, { zero: true })
}

const stepCharts = (steps: readonly StepReport[], axis: Axis): Chart[] => {
  const small = (title: string, value: (step: StepReport) => number, more: Partial<Chart> = {}): Chart => {
    const raw = pointsOf(steps, value)
    const points = downSample(raw, SMALL_BUCKETS)
    const noisy = NOISY.has(title) && raw.length >= 5 * FEWEST_TO_SMOOTH
    const values = points.map(([, v]) => v)
    const y = title === 'Gradient norm' ? normScale(values) : linearScale(values, { zero: true, count: 3 })
    const format = more.format ?? digits
    const summary = points.length ? `last ${format(points.at(-1)![1])}` : ''
    const series: Series[] = noisy
      ? [
          { name: 'each step', look: 'raw', points },
          { name: 'smoothed', look: 'main', points: downSample(smooth(raw, spanOf(raw), y.kind), SMALL_BUCKETS) },
        ]
      : [{ name: title, look: 'plain', points }]
    const description = `${title} by step. ${inWords(points, format)}${y.kind === 'log' ? ' Logarithmic.' : ''}`
    return { ...axis, title, description, y, series, format, summary, ...more }
  }
  const most = steps.reduce((n, { bytes }) => Math.max(n, bytes), 0)
  const [size, unit] = most >= 2 ** 30 ? [2 ** 30, 'GiB'] : [2 ** 20, 'MiB']
  return [
    small('Learning rate', ({ learningRate }) => learningRate),
    small('Gradient norm', ({ gradNorm }) => gradNorm),
    small('Tokens a second', ({ tokens, seconds }) => tokens / seconds, { format: whole, tickFormat: digits }),
    small(`Memory, ${unit}`, ({ bytes }) => bytes / size, {
      format: (v) => `${digits(v)} ${unit}`,
      tickFormat: digits,
    }),
  ]
}

/** What an evaluation measures beside the loss, where there is a course to show. */
const metricCharts = (run: RunRecord, axis: Axis): Chart[] => {
  const names = new Set(run.evaluations.flatMap(({ metrics }) => Object.keys(metrics)))
  const others = [...names].filter((name) => name !== 'loss' && heldOut(run, name).length > 1)
  return others.slice(0, METRIC_CHARTS).map((name) => {
    const points = downSample(heldOut(run, name), SMALL_BUCKETS)
    return {
      ...axis,
      title: `Held out: ${name}`,
      description: `The metric ${name} of the rows held out, by step. ${inWords(points)}`,
      y: linearScale(
        points.map(([, value]) => value),
        { count: 3 },
      ),
      series: [{ name, look: 'held', points }],
      best: bestStep(run),
      format: digits,
      summary: `last ${digits(points.at(-1)![1])}`,
    }
  })
}

const inWords = (points: readonly Point[], format: (value: number) => string = digits): string => {
  const [first, last] = [points[0], points.at(-1)]
  if (!first || !last) return ''
  const [low, high] = points.reduce(([a, b], [, v]) => [Math.min(a, v), Math.max(b, v)], [first[1], first[1]])
  return `From ${format(first[1])} at step ${whole(first[0])} to ${format(last[1])} at step ${whole(last[0])}; lowest ${format(low)}, highest ${format(high)}.`
}
