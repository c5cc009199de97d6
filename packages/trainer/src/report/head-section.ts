import { bestStep } from './charts-section.ts'
import { escapeHtml } from './escape-html.ts'
import { clip, digits, duration, memory, whole } from './format.ts'
import type { RunRecord } from './run-record.ts'

interface Outcome {
  readonly word: string
  readonly look: 'good' | 'calm' | 'bad'
  readonly says: string
}

/** Title, how it ended, and the numbers that matter most. */
export const headSection = (run: RunRecord, running: boolean): string => {
  const { word, look, says } = outcome(run, running)
  return `<header>
<p class="brand">${MARK}<span>Graft · training report</span></p>
<h1 dir="auto">${escapeHtml(clip(run.title, 300))}</h1>
<p class="outcome"><strong class="chip ${look}">${word}</strong> <span>${escapeHtml([says, run.started && `started ${run.started}`].filter(Boolean).join(' · '))}</span></p>
${fault(run)}</header>
<section class="tiles" aria-label="In numbers">
${tiles(run).map(tileHtml).join('\n')}
</section>`
}

/** docs/public/mark.svg */
const MARK =
  '<svg class="mark" viewBox="0 0 32 32" aria-hidden="true" fill="none" stroke-linecap="round" stroke-linejoin="round"><path d="M13 30V3" stroke="#7c8894" stroke-width="4"/><path class="graft" d="M13 21c7 0 11-4 11-12" stroke-width="4"/><circle class="bud" cx="24" cy="6" r="3"/></svg>'

const outcome = ({ end, steps }: RunRecord, running: boolean): Outcome => {
  const last = steps.at(-1)
  const count = last ? `${whole(last.step)} of ${whole(last.steps)} steps` : 'no step made'
  if (!end && running) return { word: 'Running', look: 'calm', says: `${count} so far` }
  if (!end) return { word: 'No end recorded', look: 'calm', says: `${count}; it goes on, or was killed` }
  const outcomes = {
    finished: { word: 'Finished', look: 'good', says: count },
    'stopped-early': { word: 'Stopped early', look: 'good', says: `${count}; no evaluation had got better` },
    aborted: { word: 'Interrupted', look: 'calm', says: count },
    failed: { word: 'Failed', look: 'bad', says: `after ${count}` },
  } as const
  return outcomes[end.reason] ?? { word: 'Ended', look: 'calm', says: count }
}

const fault = ({ end }: RunRecord): string =>
  end?.error === undefined ? '' : `<pre class="fault" dir="auto">${escapeHtml(clip(end.error, 4000))}</pre>\n`

interface Tile {
  readonly name: string
  readonly value: string
  readonly unit?: string
  readonly note: string
}

const tileHtml = ({ name, value, unit = '', note }: Tile): string =>
  `<div class="tile"><h2>${escapeHtml(name)}</h2><p class="value">${escapeHtml(value)}${unit && ` <small>${unit}</small>`}</p><p class="quiet">${escapeHtml(note)}</p></div>`

const tiles = (run: RunRecord): Tile[] => [
  ...heldOutTile(run),
  ...lossTile(run),
  ...stepTiles(run),
  ...(run.parameters ? [parametersTile(run.parameters)] : []),
]

const heldOutTile = (run: RunRecord): Tile[] => {
  const measured = run.evaluations.filter(({ metrics }) => metrics.loss !== undefined)
  const [first, last] = [measured[0], measured.at(-1)]
  if (!first || !last) return []
  const best = measured.find(({ step }) => step === bestStep(run))
  const [before, after] = [digits(first.metrics.loss!, 3), digits(last.metrics.loss!, 3)]
  if (first === last) return [{ name: 'Held-out loss', value: after, note: `at step ${whole(last.step)}` }]
  const note =
    best && best !== last
      ? `best ${digits(best.metrics.loss!, 3)} at step ${whole(best.step)}`
      : `from step ${whole(first.step)} to step ${whole(last.step)}`
  return [{ name: 'Held-out loss', value: `${before} → ${after}`, note }]
}

const lossTile = ({ steps }: RunRecord): Tile[] => {
  const finite = steps.filter(({ loss }) => Number.isFinite(loss))
  const [first, last] = [finite[0], finite.at(-1)]
  if (!first || !last) return []
  return [
    {
      name: 'Training loss',
      value: first === last ? digits(last.loss, 3) : `${digits(first.loss, 3)} → ${digits(last.loss, 3)}`,
      note: first === last ? `at step ${whole(last.step)}` : 'the first step and the last',
    },
  ]
}

const stepTiles = ({ steps, evaluations }: RunRecord): Tile[] => {
  const last = steps.at(-1)
  if (!last) return []
  const sum = (of: (step: (typeof steps)[number]) => number): number => steps.reduce((n, step) => n + of(step), 0)
  const [seconds, tokens, skipped] = [sum((s) => s.seconds), sum((s) => s.tokens), sum((s) => Number(s.skipped))]
  const judging = evaluations.reduce((n, e) => n + e.seconds, 0)
  const epochs = last.epoch + 1
  return [
    {
      name: 'Steps',
      value: whole(last.step),
      note: skipped ? `${whole(skipped)} skipped` : `${whole(epochs)} ${epochs === 1 ? 'epoch' : 'epochs'}`,
    },
    {
      name: 'Time',
      value: duration(seconds + judging),
      note: `${duration(seconds / steps.length)} a step${judging ? ` · ${duration(judging)} to evaluate` : ''}`,
    },
    { name: 'Tokens a second', value: digits(tokens / seconds), note: `${whole(tokens)} tokens` },
    {
      name: 'Peak memory',
      value: memory(steps.reduce((most, { bytes }) => Math.max(most, bytes), 0)),
      note: 'held by the backend',
    },
  ]
}

const parametersTile = ({ trainable, all }: NonNullable<RunRecord['parameters']>): Tile => ({
  name: 'Trainable parameters',
  value: trainable >= 1e6 ? `${digits(trainable / 1e6)} M` : whole(trainable),
  note: `${digits((100 * trainable) / all, 3)} % of ${all >= 1e6 ? `${digits(all / 1e6)} M` : whole(all)}`,
})
