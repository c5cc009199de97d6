import { escapeHtml } from './escape-html.ts'
import { whole } from './format.ts'
import type { MaskToken, RunRecord } from './run-record.ts'

const [ROWS, TOKENS] = [6, 1200]

/** Rows by their tokens: what the loss counts is marked, what it does not is dim. */
export const maskSection = ({ mask = [] }: RunRecord): string => {
  if (mask.length === 0) return ''
  const left = mask.length - ROWS
  return `<section><h2>What is learnt</h2>
<p class="quiet">Rows of the training data by their tokens: <mark class="t">learnt</mark>, <span class="t off">masked</span>, <span class="t off special">special</span>.</p>
${mask.slice(0, ROWS).map(rowHtml).join('\n')}
${left > 0 ? `<p class="quiet">${whole(left)} more rows.</p>` : ''}</section>`
}

const rowHtml = (tokens: readonly MaskToken[], i: number): string => {
  const learnt = tokens.filter((token) => token.learnt).length
  const left = tokens.length - TOKENS
  return `<div class="row"><p class="quiet">Row ${i}: ${whole(learnt)} of ${whole(tokens.length)} tokens learnt</p>
<pre class="text" dir="auto"${tokens.length > 150 ? ' tabindex="0"' : ''}>${tokens.slice(0, TOKENS).map(tokenHtml).join('')}${left > 0 ? ` … (${whole(left)} more tokens)` : ''}</pre></div>`
}

const tokenHtml = ({ text, learnt, special = false }: MaskToken): string => {
  const tag = learnt ? 'mark' : 'span'
  const looks = ['t', ...(learnt ? [] : ['off']), ...(special ? ['special'] : [])].join(' ')
  // A line break that is a token is to be seen.
  return `<${tag} class="${looks}">${escapeHtml(text).replace(/\r?\n/g, '<i class="break">↵</i>\n')}</${tag}>`
}
