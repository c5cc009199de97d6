import type { TrainEvent } from '../callbacks.ts'
import { escapeHtml } from './escape-html.ts'
import { clip, whole } from './format.ts'
import type { RunRecord } from './run-record.ts'

/** More are left out of the middle. */
const MOST = 100

/** What happened, in the order it did. Checkpoints are told in one line: there may be hundreds. */
export const eventsSection = ({ events }: RunRecord): string => {
  if (events.length === 0) return ''
  const told = events.filter(({ code }) => code !== 'checkpoint')
  const rows = told.length > MOST ? [...told.slice(0, MOST / 2), undefined, ...told.slice(-MOST / 2)] : told
  const list = rows.map((event) =>
    event ? eventHtml(event) : `<li class="gap">${whole(told.length - MOST)} more</li>`,
  )
  return `<section><h2>Events</h2>
${list.length ? `<ol class="events">\n${list.join('\n')}\n</ol>` : ''}${checkpoints(events)}</section>`
}

const eventHtml = ({ step, code, message }: TrainEvent): string =>
  `<li class="${BAD.has(code) ? 'bad' : 'calm'}"><span class="when">step ${whole(step)}</span> <span class="what" dir="auto">${escapeHtml(clip(message, 600))}</span></li>`

const BAD: ReadonlySet<string> = new Set(['non-finite', 'rolled-back', 'no-gradient', 'checkpoint-passed-over'])

const checkpoints = (events: readonly TrainEvent[]): string => {
  const saved = events.filter(({ code }) => code === 'checkpoint')
  const last = saved.at(-1)
  if (!last) return ''
  return `<p class="quiet">${saved.length === 1 ? 'One checkpoint' : `${whole(saved.length)} checkpoints, the last`} after step ${whole(last.step)}.</p>`
}
