import { describe, expect, it } from 'vitest'
import { describeEncoded } from './describe-encoded.ts'
import { encodeExamples, IGNORED, type Sample } from './encode-examples.ts'
import { samplePieces, visible } from './sample-pieces.ts'
import { ansiLegend, showAnsi } from './show-ansi.ts'
import { showHtml } from './show-html.ts'
import { tinyTokenizer } from './tiny-tokenizer.test-util.ts'

const tokenizer = tinyTokenizer()
const messages = (answer: string) => [
  { role: 'user', content: 'a 🎈\tb' },
  { role: 'assistant', content: answer },
]
const encoded = encodeExamples(
  tokenizer,
  [{ messages: messages(' yes é\n<b>&"') }, { messages: messages('x'.repeat(40)) }],
  { maxLength: 60, truncate: 'keep-start' },
)
const [sample] = encoded.samples as [Sample]
const ESC = '\x1b'
/** What a terminal shows. */
const plain = (text: string): string => text.replace(new RegExp(`${ESC}\\[[\\d;]*m`, 'g'), '')

describe('samplePieces', () => {
  it('has the text of every token, and every token once', () => {
    for (const one of encoded.samples) {
      const pieces = samplePieces(one, tokenizer)
      expect(pieces.map(({ text }) => text).join('')).toBe(tokenizer.decode(one.ids))
      expect(pieces.flatMap(({ ids }) => ids)).toEqual(one.ids)
      expect(pieces.flatMap(({ ids, learnt }) => ids.map(() => learnt))).toEqual(one.labels.map((l) => l !== IGNORED))
    }
    expect(samplePieces(sample, tokenizer).find(({ text }) => text === '🎈')!.ids).toHaveLength(4)
    expect(samplePieces(sample, tokenizer)[0]).toMatchObject({ text: '<|im_start|>', special: true, learnt: false })
  })
  it('keeps a character apart whose bytes are learnt in part', () => {
    const ids = tokenizer.encode('🎈x')
    const pieces = samplePieces({ ids, labels: ids.map((id, t) => (t < 2 ? IGNORED : id)), source: 0 }, tokenizer)
    expect(pieces.flatMap(({ ids, learnt }) => ids.map(() => learnt))).toEqual([false, false, true, true, true])
    expect(pieces.at(-1)!.text).toMatch(/^\uFFFD+x$/)
  })
})

describe('visible', () => {
  it('lets nothing through that cannot be seen or that a terminal obeys', () => {
    expect(visible('a b\t\n\x1b[31m\x7f\u0085\u202e\u200b\u00a0\ufeff\0')).toBe(
      'a·b→⏎\n␛[31m␡<U+0085><U+202E><U+200B><U+00A0><U+FEFF>␀',
    )
  })
})

describe('showAnsi', () => {
  const text = '<|im_start|>user⏎\na·🎈→b<|im_end|>⏎\n<|im_start|>assistant⏎\n[·yes·é⏎\n<b>&"<|im_end|>]'
  it('brackets what is learnt where there is no colour', () => {
    const shown = showAnsi(sample, tokenizer, { color: false })
    expect(shown).toBe(text.replace('[', '⟦').replace(']', '⟧'))
    expect(plain(shown)).toBe(shown)
    expect(ansiLegend({ color: false })).toContain('⟦learnt⟧')
  })
  it('puts what is learnt on green, and leaves no colour open', () => {
    const shown = showAnsi(sample, tokenizer)
    expect(plain(shown)).toBe(text.replace(/[[\]]/g, ''))
    for (const line of shown.split('\n')) expect(line.endsWith('\x1b[0m')).toBe(true)
    const green = [...shown.matchAll(new RegExp(`${ESC}\\[48;5;(?:22|28)[\\d;]*m([^${ESC}]*)${ESC}`, 'g'))].map(
      ([, piece]) => piece,
    )
    expect(green.join('')).toBe('·yes·é⏎<b>&"<|im_end|>')
  })
})

describe('showHtml', () => {
  const html = showHtml([{ name: '<rows> & "co"', encoded, samples: encoded.samples }], tokenizer)
  it('escapes everything and loads nothing', () => {
    expect(html).toContain('&lt;rows&gt; &amp; &quot;co&quot;')
    expect(html).not.toMatch(/<b>&|<rows>|<\|im/)
    expect(html).not.toMatch(/https?:|<script|<link|url\(|@import/)
    expect(html.match(/<article>/g)).toHaveLength(2)
  })
  it('marks what is learnt, token by token', () => {
    const article = html.slice(html.indexOf('<article>'), html.indexOf('</article>'))
    const spans = [
      ...article.slice(article.indexOf('<pre>')).matchAll(/<span(?: class="([^"]*)")? title="[^"]*">(.*?)<\/span>/gs),
    ]
    const learnt = spans.filter(([, classes = '']) => classes.split(' ').includes('l')).map(([, , inner]) => inner)
    expect(learnt.join('').replace(/<[^>]*>/g, '')).toBe('·yes·é⏎\n&lt;b&gt;&amp;&quot;&lt;|im_end|&gt;')
    expect(spans).toHaveLength(samplePieces(sample, tokenizer).length)
  })
  it('has light and dark', () => expect(html).toContain('@media (prefers-color-scheme: dark)'))
})

describe('describeEncoded', () => {
  it('says what there is and what was cut', () => {
    const { summary, lostTokens } = encoded
    expect(describeEncoded(encoded, 'x.csv')).toEqual([
      `x.csv: 2 rows, ${summary.tokens} tokens, ${summary.targets} learnt (${((100 * summary.targets) / summary.tokens).toFixed(1)} %), longest ${summary.longest}`,
      `cut: 1 row (1), ${lostTokens} tokens lost, ${lostTokens} of them to be learnt`,
    ])
    const many = { ...encoded, truncated: 7, cutSources: [0, 1, 2, 3, 4, 5, 6], apart: 2, warnings: ['w'] }
    expect(describeEncoded(many, 'x').slice(1)).toEqual([
      expect.stringContaining('cut: 7 rows (0, 1, 2, 3, 4, …)'),
      '2 rows encoded in parts, because a token of the whole text would span a seam',
      'warning: w',
    ])
  })
})
