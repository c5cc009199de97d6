import type { EvaluationReport } from '../callbacks.ts'
import { bestStep } from './charts-section.ts'
import { escapeHtml } from './escape-html.ts'
import { digits, duration, whole } from './format.ts'
import type { RunRecord } from './run-record.ts'

/** More are left out of the middle, but for the best. */
const MOST = 24

export const evaluationsSection = (run: RunRecord): string => {
  const { evaluations } = run
  if (evaluations.length === 0) return ''
  const best = bestStep(run)
  const names = [...new Set(evaluations.flatMap(({ metrics }) => Object.keys(metrics)))]
  const shown = evaluations.filter(({ step }, i) => i < MOST / 2 || i >= evaluations.length - MOST / 2 || step === best)
  const row = ({ step, metrics, seconds }: EvaluationReport): string =>
    `<tr${step === best ? ' class="best"' : ''}><th scope="row">${whole(step)}</th>${names.map((name) => `<td>${metrics[name] === undefined ? '–' : digits(metrics[name])}</td>`).join('')}<td>${duration(seconds)}</td><td class="word">${step === best && evaluations.length > 1 ? 'best' : ''}</td></tr>`
  const left = evaluations.length - shown.length
  return `<section><h2>Evaluations</h2>
<div class="wide" tabindex="0" role="region" aria-label="Evaluations"><table><thead><tr><th scope="col">step</th>${names.map((name) => `<th scope="col">${escapeHtml(name)}</th>`).join('')}<th scope="col">time</th><th scope="col"><span class="unseen">best</span></th></tr></thead>
<tbody>
${shown.map(row).join('\n')}
</tbody></table></div>${left > 0 ? `<p class="quiet">${whole(left)} more between them.</p>` : ''}</section>`
}
