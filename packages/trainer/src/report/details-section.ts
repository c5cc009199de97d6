import { escapeHtml } from './escape-html.ts'
import { clip } from './format.ts'
import type { RunRecord } from './run-record.ts'

const RECIPE = 40_000

/** What the run was made with. */
export const detailsSection = ({ recipe, facts = {}, versions = {} }: RunRecord): string => {
  const parts = [
    listHtml('Facts', facts),
    listHtml('Versions', versions),
    recipe === undefined
      ? ''
      : `<details><summary><h3>Recipe</h3></summary><pre class="text code">${escapeHtml(clip(JSON.stringify(recipe, null, 2), RECIPE))}</pre></details>`,
  ].filter(Boolean)
  return parts.length ? `<section><h2>Made with</h2>\n<div class="made">${parts.join('\n')}</div></section>` : ''
}

const listHtml = (title: string, entries: Readonly<Record<string, string>>): string => {
  const rows = Object.entries(entries)
  if (rows.length === 0) return ''
  return `<div><h3>${title}</h3><dl>${rows.map(([name, value]) => `<div><dt>${escapeHtml(name)}</dt><dd dir="auto">${escapeHtml(clip(value, 1000))}</dd></div>`).join('')}</dl></div>`
}
