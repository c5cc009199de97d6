import type { Tokenizer } from '@graftjs/text'
import { describeEncoded, percent } from './describe-encoded.ts'
import { type Encoded, IGNORED, type Sample } from './encode-examples.ts'
import { type Piece, samplePieces, visible } from './sample-pieces.ts'

/** Some samples of a set, and what is known of all of them. */
export interface ShownSet {
  readonly name: string
  readonly encoded: Encoded
  readonly samples: readonly Sample[]
}

/** A page of its own that opens offline: the tokens of some samples, which of them are learnt, and what became of all rows. */
export const showHtml = (sets: readonly ShownSet[], tokenizer: Tokenizer): string => `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${escaped(sets.map(({ name }) => name).join(', '))}: what is learnt</title>
<style>${css}</style>
</head>
<body>
<main>
<h1>What is learnt</h1>
<p class="legend"><span class="l">learnt</span> <span>masked</span> <span class="s">special token</span> <kbd>·</kbd> space <kbd>⏎</kbd> line break <kbd>→</kbd> tab. A token's number shows when the pointer rests on it.</p>
${sets.map((set) => section(set, tokenizer)).join('\n')}
</main>
</body>
</html>
`

const section = ({ name, encoded, samples }: ShownSet, tokenizer: Tokenizer): string => {
  const { rows, tokens, targets, longest } = encoded.summary
  const facts = [
    ['rows', rows.toLocaleString('en-US')],
    ['tokens', tokens.toLocaleString('en-US')],
    ['learnt', `${targets.toLocaleString('en-US')} <small>${percent(targets, tokens)}</small>`],
    ['longest', longest.toLocaleString('en-US')],
    ['cut', encoded.truncated.toLocaleString('en-US')],
  ]
  const notes = describeEncoded(encoded, name).slice(1)
  return `<section>
<h2>${escaped(name)}</h2>
<dl>${facts.map(([term, value]) => `<div><dt>${term}</dt><dd>${value}</dd></div>`).join('')}</dl>
${notes.length > 0 ? `<ul class="notes">${notes.map((note) => `<li>${escaped(note)}</li>`).join('')}</ul>` : ''}
${samples.map((sample) => card(sample, tokenizer)).join('\n')}
</section>`
}

const card = (sample: Sample, tokenizer: Tokenizer): string => {
  const pieces = samplePieces(sample, tokenizer)
  const learnt = sample.labels.filter((label) => label !== IGNORED).length
  const share = percent(learnt, sample.ids.length)
  return `<article>
<header><b>row ${sample.source}</b> <span>${sample.ids.length} tokens, ${learnt} learnt</span><span class="bar" aria-hidden="true"><i style="width:${share.replace(' ', '')}"></i></span></header>
<pre>${pieces.map((piece) => span(piece, tokenizer)).join('')}</pre>
</article>`
}

const span = ({ text, ids, learnt, special }: Piece, tokenizer: Tokenizer): string => {
  const classes = [...(learnt ? ['l'] : []), ...(special ? ['s'] : [])].join(' ')
  const title = ids.map((id) => `${id} ${visible(tokenizer.tokenOf(id))}`).join('\n')
  const signs = escaped(visible(text)).replace(/[·⏎→]/g, '<wbr><i>$&</i>')
  return `<span${classes ? ` class="${classes}"` : ''} title="${escaped(title)}">${signs}</span>`
}

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}
const escaped = (text: string): string => text.replace(/[&<>"']/g, (character) => entities[character]!)

const css = `
:root { --page: #f6f7f5; --card: #fff; --text: #1c211d; --soft: #6b746d; --line: #dfe3de; --masked: #68716a; --learnt: #cdeed3; --learnt-2: #b7e4c0; --learnt-text: #0d3317; --special: #8a3ea8; --note: #fff4d6; --note-line: #e6c876; }
@media (prefers-color-scheme: dark) { :root { --page: #131614; --card: #1b1f1c; --text: #e4e9e5; --soft: #98a29a; --line: #2e342f; --masked: #959e97; --learnt: #1d4a2a; --learnt-2: #256036; --learnt-text: #d9f5df; --special: #d79bf0; --note: #3a3117; --note-line: #6d5c24; } }
* { box-sizing: border-box }
body { margin: 0; background: var(--page); color: var(--text); font: 15px/1.55 system-ui, sans-serif }
main { max-width: 60rem; margin: 0 auto; padding: 2.5rem 1.25rem 4rem }
h1 { font-size: 1.6rem; margin: 0 0 .4rem }
h2 { font-size: 1.1rem; margin: 2.4rem 0 .8rem; overflow-wrap: anywhere }
.legend { color: var(--soft); margin: 0 }
.legend span { font: 13px/1.6 ui-monospace, monospace; padding: .1rem .35rem; border-radius: .25rem }
kbd { font: 13px ui-monospace, monospace }
dl { display: flex; flex-wrap: wrap; gap: .6rem; margin: 0 0 1rem }
dl div { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: .5rem .9rem; min-width: 6rem }
dt { color: var(--soft); font-size: .8rem }
dd { margin: 0; font-size: 1.15rem; font-variant-numeric: tabular-nums }
small { color: var(--soft); font-size: .8rem }
.notes { background: var(--note); border: 1px solid var(--note-line); border-radius: .5rem; margin: 0 0 1rem; padding: .6rem .9rem .6rem 1.9rem }
article { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; margin: 0 0 1rem; overflow: hidden }
article header { display: flex; gap: .8rem; align-items: center; padding: .5rem .9rem; border-bottom: 1px solid var(--line); color: var(--soft); font-size: .85rem }
article header b { color: var(--text) }
.bar { margin-left: auto; width: 8rem; height: .4rem; border-radius: .2rem; background: var(--line); overflow: hidden }
.bar i { display: block; height: 100%; background: #3f9d58 }
pre { margin: 0; padding: .9rem; white-space: pre-wrap; overflow-wrap: anywhere; font: 13px/1.75 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; color: var(--masked) }
pre span:hover { outline: 1px solid var(--soft); border-radius: .15rem }
pre i { font-style: normal; opacity: .45 }
.l { background: var(--learnt); color: var(--learnt-text) }
pre .l:nth-child(even) { background: var(--learnt-2) }
.s { color: var(--special); font-weight: 600 }
.l.s { color: var(--special) }
`
