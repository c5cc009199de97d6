import type { Continuation, EvaluationReport } from '../callbacks.ts'
import { bestStep } from './charts-section.ts'
import { escapeHtml } from './escape-html.ts'
import { clip, whole } from './format.ts'
import type { RunRecord } from './run-record.ts'

const [MOST, CHARACTERS] = [12, 2000]

/** What the model said to each prompt before, at its best and at the end. */
export const samplesSection = (run: RunRecord): string => {
  const said = run.evaluations.filter(({ continuations }) => continuations.length > 0)
  const moments = [...new Set([said[0], said.find(({ step }) => step === bestStep(run)), said.at(-1)])].filter(
    (moment): moment is EvaluationReport => moment !== undefined,
  )
  const latest = moments.at(-1)
  if (!latest) return ''
  const prompts = latest.continuations.slice(0, MOST)
  const left = latest.continuations.length - prompts.length
  return `<section><h2>Samples</h2>
${prompts.map((of, i) => sampleHtml(of, i, moments, run)).join('\n')}
${left > 0 ? `<p class="quiet">${whole(left)} more prompts.</p>` : ''}</section>`
}

const sampleHtml = (of: Continuation, i: number, moments: readonly EvaluationReport[], run: RunRecord): string => {
  const columns = moments.map((moment) => {
    // Prompts may change from one evaluation to another: what was said to another one is not shown beside this.
    const { continuations } = moment
    const found =
      continuations[i]?.prompt === of.prompt ? continuations[i] : continuations.find((c) => c.prompt === of.prompt)
    return `<div class="said"><h4>${escapeHtml(momentName(moment, moments, run))}</h4>${textHtml(found?.text, 'not asked')}</div>`
  })
  return `<article class="sample"><h3 class="unseen">Prompt ${i + 1}</h3>${textHtml(of.prompt, 'an empty prompt', 'prompt')}
<div class="sides">${columns.join('')}</div></article>`
}

const momentName = ({ step }: EvaluationReport, moments: readonly EvaluationReport[], run: RunRecord): string => {
  if (step === 0) return 'Before'
  const at = `step ${whole(step)}`
  if (step === bestStep(run) && moments.length > 1 && run.evaluations.length > 1)
    return step === moments.at(-1)!.step ? `After · ${at}, the best` : `Best · ${at}`
  return step === moments.at(-1)!.step ? `After · ${at}` : `At ${at}`
}

const textHtml = (text: string | undefined, absent: string, look = ''): string => {
  if (text === undefined) return `<p class="nothing">${absent}</p>`
  if (text.trim() === '')
    return `<p class="nothing">${text === '' ? (look ? absent : 'nothing') : 'only white space'}</p>`
  // What is higher than the box scrolls, and a box that scrolls must be reached by keys.
  return `<pre class="text ${look}" dir="auto"${text.length > 400 ? ' tabindex="0"' : ''}>${escapeHtml(clip(text, CHARACTERS))}</pre>`
}
