import type { Point } from './down-sample.ts'
import { escapeHtml, scriptJson } from './escape-html.ts'
import { shortStep } from './format.ts'
import type { Scale } from './scale.ts'

export interface Series {
  /** For the key and the read-out. */
  readonly name: string
  /** Of the style sheet: `raw`, `main`, `held` (points), `plain`. */
  readonly look: 'raw' | 'main' | 'held' | 'plain'
  readonly points: readonly Point[]
}

export interface Chart {
  readonly title: string
  /** What it shows in words, for those who do not see it. */
  readonly description: string
  readonly large?: boolean
  readonly x: Scale
  /** The last step on the axis. */
  readonly last: number
  readonly y: Scale
  readonly series: readonly Series[]
  /** Steps that were not made. */
  readonly skipped?: readonly number[]
  /** The step of the best evaluation. */
  readonly best?: number | undefined
  readonly notes?: readonly { readonly step: number; readonly text: string }[]
  readonly format: (value: number) => string
  readonly tickFormat?: (value: number) => string
  /** Said beside the title until a pointer asks for more. */
  readonly summary: string
}

/** The plot is drawn in these units and stretched to the page; what must not be stretched (text, dots) is laid over it or has no size of its own. */
const [WIDTH, HEIGHT] = [1000, 300]
const MOST_DOTS = 50

/** A chart as a figure. Its JSON is for the read-out alone: without scripts all but that is there. */
export const chartHtml = (chart: Chart, id: string): string => `<figure class="chart${chart.large ? ' large' : ''}">
<figcaption><h3>${escapeHtml(chart.title)}</h3>${keys(chart)}<output>${escapeHtml(chart.summary)}</output></figcaption>
<div class="frame"><div class="y" aria-hidden="true">${yTicks(chart)}</div>
<div class="plot" tabindex="0" role="group" aria-label="${escapeHtml(chart.title)}: the arrow keys read values">
<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" preserveAspectRatio="none" role="img" aria-labelledby="${id}-t ${id}-d"><title id="${id}-t">${escapeHtml(chart.title)}</title><desc id="${id}-d">${escapeHtml(chart.description)}</desc>
${drawing(chart)}
</svg>${noteLabels(chart)}<i class="cursor"></i></div>
<div class="x" aria-hidden="true">${xTicks(chart)}</div></div>
<script type="application/json">${readOut(chart)}</script>
</figure>`

const px = (value: number): string => String(Number(value.toFixed(1)))
const percent = (fraction: number): string => `${Number((100 * fraction).toFixed(2))}%`

const drawing = (chart: Chart): string => {
  const { x, y } = chart
  const grid = y.ticks.map((tick) => `M0,${px(HEIGHT * (1 - y.at(tick)))}H${WIDTH}`).join('')
  const notes = (chart.notes ?? []).map(({ step }) => `M${px(WIDTH * x.at(step))},0V${HEIGHT}`).join('')
  const places = new Set((chart.skipped ?? []).map((step) => px(WIDTH * x.at(step))))
  const skipped = [...places].map((at) => `M${at},${HEIGHT}v-16`).join('')
  return [
    `<path class="grid" d="${grid}"/>`,
    notes && `<path class="note" d="${notes}"/>`,
    ...chart.series.map((series) => seriesSvg(chart, series)),
    skipped && `<path class="skip" d="${skipped}"/>`,
  ]
    .filter(Boolean)
    .join('\n')
}

const seriesSvg = ({ x, y, best }: Chart, { look, points }: Series): string => {
  const places = points.map(([step, value]) => `${px(WIDTH * x.at(step))},${px(HEIGHT * (1 - y.at(value)))}`)
  if (places.length === 0) return ''
  // A line of no length with round ends is a dot that stretching leaves round.
  const dots = (at: readonly string[], of: string): string =>
    `<path class="${of}" d="${at.map((p) => `M${p}h0`).join('')}"/>`
  const line = `<polyline class="${look}" points="${places.join(' ')}"/>`
  if (look !== 'held') return places.length > 1 ? line : dots(places, `${look} dot`)
  const at = points.findIndex(([step]) => step === best)
  const bestDot = at >= 0 ? dots([places[at]!], 'held dot best') : ''
  // Where they would run into each other, the line alone says more.
  const many = places.length > MOST_DOTS
  return `<polyline class="${many ? 'held many' : 'held'}" points="${places.join(' ')}"/>${many ? '' : dots(places, 'held dot')}${bestDot}`
}

const yTicks = ({ y, format, tickFormat = format }: Chart): string =>
  y.ticks.map((tick) => `<span style="top:${percent(1 - y.at(tick))}">${escapeHtml(tickFormat(tick))}</span>`).join('')

const xTicks = ({ x }: Chart): string =>
  x.ticks.map((tick) => `<span style="left:${percent(x.at(tick))}">${shortStep(tick)}</span>`).join('')

/** A label that would lie on the one before it is left out; its line stays. */
const noteLabels = ({ x, notes = [], large }: Chart): string => {
  let from = -1
  const labels = notes.map(({ step, text }) => {
    const at = x.at(step)
    if (!large || at < from + 0.1) return ''
    const looks = ['note-label', ...(at > 0.8 ? ['left'] : []), ...(at < from + 0.3 ? ['tight'] : [])]
    from = at
    return `<span class="${looks.join(' ')}" style="left:${percent(at)}">${escapeHtml(text)}</span>`
  })
  return labels.join('')
}

/** Small charts have the looks of the large one, and no room. */
const keys = ({ series, skipped = [], large }: Chart): string => {
  if (!large || (series.length < 2 && skipped.length === 0)) return ''
  const names = [...series.map(({ name, look }) => [name, look]), ...(skipped.length ? [['skipped', 'skip']] : [])]
  return `<span class="keys">${names.map(([name, look]) => `<span class="key ${look}">${escapeHtml(name!)}</span>`).join('')}</span>`
}

const readOut = ({ last, series, format }: Chart): string =>
  scriptJson({
    last: Math.max(1, last),
    series: series.map(({ name, look, points }) => ({
      name: series.length > 1 ? name : '',
      near: look === 'held',
      x: points.map(([step]) => step),
      y: points.map(([, value]) => format(value)),
    })),
  })
