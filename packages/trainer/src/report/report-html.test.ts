import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { scriptJson } from './escape-html.ts'
import { digits } from './format.ts'
import { reportHtml } from './report-html.ts'
import { REPORT_SCRIPT, REPORT_SCRIPT_HASH } from './report-script.ts'
import type { RunRecord } from './run-record.ts'
import { evaluation, event, learning, step } from './runs.test-util.ts'

const run = (more: Partial<RunRecord> = {}): RunRecord => ({
  title: 'A run',
  steps: learning(40),
  evaluations: [evaluation(0), evaluation(20), evaluation(40, { best: false, metrics: { loss: 1 } })],
  events: [],
  end: { reason: 'finished' },
  ...more,
})

/** The figures of a page by their titles. */
const figures = (html: string): Map<string, string> =>
  new Map(
    [...html.matchAll(/<figure[\s\S]*?<\/figure>/g)].map(([figure]) => [/<h3>(.*?)<\/h3>/.exec(figure)![1]!, figure]),
  )

/** The points that a figure draws, as values: its axis is read from the labels beside it. */
const drawn = (figure: string, look: string, last: number): [step: number, value: number][] => {
  const points = new RegExp(`<polyline class="${look}" points="([^"]*)"`).exec(figure)![1]!
  const ticks = [...figure.matchAll(/<span style="top:([\d.]+)%">([^<]*)</g)].map(
    ([, top, label]) => [Number(top) / 100, Number(label!.replaceAll('−', '-').replaceAll(',', ''))] as const,
  )
  const [[top, low], [bottom, high]] = [ticks[0]!, ticks.at(-1)!]
  return points.split(' ').map((point) => {
    const [x, y] = point.split(',').map(Number)
    return [(x! / 1000) * last, low + ((y! / 300 - top) / (bottom - top)) * (high - low)]
  })
}

const text = (html: string): string => html.replace(/<(style|script)[\s\S]*?<\/\1>/g, '').replace(/<[^>]*>/g, ' ')

describe('reportHtml', () => {
  it('draws the losses where they are', () => {
    const steps = learning(40)
    const points = drawn(figures(reportHtml(run({ steps }))).get('Loss')!, 'raw', 40)
    expect(points).toHaveLength(40)
    for (const [i, [at, value]] of points.entries()) {
      expect(at).toBeCloseTo(steps[i]!.step, 1)
      expect(Math.abs(value - steps[i]!.loss)).toBeLessThan(0.01)
    }
  })

  it('draws evaluations as dots, the best one larger, and marks skipped steps', () => {
    const steps = learning(40).map((s) => (s.step === 7 ? { ...s, loss: Number.NaN, skipped: true } : s))
    const figure = figures(reportHtml(run({ steps }))).get('Loss')!
    expect(/<path class="held dot" d="([^"]*)"/.exec(figure)![1]!.match(/M/g)).toHaveLength(3)
    expect(/<path class="held dot best" d="M([\d.]+),/.exec(figure)![1]).toBe('500')
    expect(/<path class="skip" d="M([\d.]+),300v-16"/.exec(figure)![1]).toBe('175')
    expect(drawn(figure, 'raw', 40)).toHaveLength(39)
    expect(figure).toContain('1 step was skipped.')
  })

  it('has a title and a description for every drawing', () => {
    const found = figures(reportHtml(run()))
    expect([...found.keys()]).toEqual(['Loss', 'Learning rate', 'Gradient norm', 'Tokens a second', 'Memory, MiB'])
    for (const figure of found.values()) {
      const [, title, description] = /aria-labelledby="(\S+) (\S+)"/.exec(figure)!
      expect(figure).toMatch(new RegExp(`<title id="${title}">[^<]+</title><desc id="${description}">[^<]+</desc>`))
    }
  })

  it('gives the read-out the values that it draws', () => {
    const steps = learning(40)
    const figure = figures(reportHtml(run({ steps }))).get('Gradient norm')!
    const { last, series } = JSON.parse(/<script type="application\/json">(.*)<\/script>/.exec(figure)![1]!)
    expect(last).toBe(40)
    expect(series[0].x).toEqual(steps.map((s) => s.step))
    expect(series[0].y).toEqual(steps.map((s) => digits(s.gradNorm)))
  })

  it('takes a logarithmic axis for gradient norms that span decades', () => {
    const steps = learning(40).map((s) => ({ ...s, gradNorm: s.step === 20 ? 1000 : 1 }))
    expect(figures(reportHtml(run({ steps }))).get('Gradient norm')).toContain('Logarithmic.')
    expect(figures(reportHtml(run())).get('Gradient norm')).not.toContain('Logarithmic.')
  })

  it('says how the run ended, and with which error', () => {
    const says = (more: Partial<RunRecord>, refreshSeconds?: number): string =>
      text(reportHtml(run(more), refreshSeconds ? { refreshSeconds } : {})).replace(/\s+/g, ' ')
    const { end: _, ...open } = run()
    expect(says({})).toContain('Finished 40 of 40 steps')
    expect(says({ end: { reason: 'stopped-early' } })).toContain('Stopped early 40 of 40 steps')
    expect(says({ end: { reason: 'aborted' } })).toContain('Interrupted 40 of 40 steps')
    expect(says({ end: { reason: 'failed', error: 'out of <memory>' } })).toContain(
      'Failed after 40 of 40 steps out of &lt;memory&gt;',
    )
    expect(text(reportHtml(open))).toContain('No end recorded')
    expect(text(reportHtml(open, { refreshSeconds: 10 }))).toContain('Running')
  })

  it('loads itself again only while the run goes on', () => {
    const { end: _, ...open } = run()
    expect(reportHtml(open, { refreshSeconds: 10 })).toContain('<meta http-equiv="refresh" content="10">')
    expect(reportHtml(open)).not.toContain('http-equiv="refresh"')
    expect(reportHtml(run(), { refreshSeconds: 10 })).not.toContain('http-equiv="refresh"')
  })

  it('shows the numbers that matter', () => {
    const steps = [step(1, { tokens: 100, seconds: 2 }), step(2, { tokens: 300, seconds: 2, bytes: 3 * 2 ** 30 })]
    const page = text(reportHtml(run({ steps, parameters: { trainable: 2_442_240, all: 136_957_248 } })))
    const words = page.replace(/\s+/g, ' ')
    expect(words).toContain('Held-out loss 3 → 1 best 0.143 at step 20')
    expect(words).toContain('Training loss 3 → 1.5')
    expect(words).toContain('Tokens a second 100 400 tokens')
    expect(words).toContain('Peak memory 3 GiB')
    expect(words).toContain('Trainable parameters 2.442 M 1.78 % of 137 M')
  })

  it('lists evaluations, samples, events, masks and what it was made with', () => {
    const said = (word: string) => [{ prompt: 'Say it', text: word }]
    const page = reportHtml(
      run({
        recipe: { method: { name: 'lora' } },
        versions: { node: '24' },
        facts: { device: 'simd' },
        evaluations: [
          evaluation(0, { continuations: said('first'), metrics: { loss: 2, f1: Number.NaN } }),
          evaluation(20, { continuations: said('second') }),
          evaluation(30, { continuations: said('left out'), best: false }),
          evaluation(40, { continuations: said(''), best: false }),
        ],
        events: [event(10, 'checkpoint'), event(20, 'checkpoint'), event(12, 'resumed', 'going on')],
        mask: [
          [
            { text: 'Q', learnt: false },
            { text: 'A\n', learnt: true },
            { text: '</s>', learnt: true, special: true },
          ],
        ],
      }),
    )
    const words = text(page).replace(/\s+/g, ' ')
    expect(words).toContain('Say it Before first Best · step 20 second After · step 40 nothing')
    expect(words).not.toContain('left out')
    expect(words).toContain('2 NaN 1 s')
    expect(words).toContain('step 12 going on 2 checkpoints, the last after step 20.')
    expect(words).toContain('Row 0: 2 of 3 tokens learnt')
    expect(page).toContain(
      '<span class="t off">Q</span><mark class="t">A<i class="break">↵</i>\n</mark><mark class="t special">&lt;/s&gt;</mark>',
    )
    expect(words).toContain('Facts device simd Versions node 24')
    expect(page).toContain('&quot;name&quot;: &quot;lora&quot;')
  })

  it('takes whatever a run may hold: nothing, one step, no finite number', () => {
    const odd = { loss: Number.NaN, gradNorm: Number.POSITIVE_INFINITY, skipped: true, seconds: 0, bytes: 0 }
    for (const steps of [
      [],
      [step(1)],
      [step(1, odd)],
      [step(1, odd), step(2, odd)],
      [step(1, { loss: 0, gradNorm: 0 })],
    ])
      for (const evaluations of [
        [],
        [evaluation(0, { metrics: {} })],
        [evaluation(0, { metrics: { loss: Number.NaN } })],
      ]) {
        const page = reportHtml(run({ steps, evaluations }))
        expect(page).toContain('</html>')
        for (const [, points] of page.matchAll(/ (?:d|points)="([^"]*)"/g)) expect(points).not.toMatch(/NaN|Infinity/)
        expect(page).not.toMatch(/style="[^"]*(NaN|Infinity)/)
      }
  })

  it('escapes all that a run brings, and ends no script early', () => {
    const bad = '</script><script>alert(1)</script><img src=x onerror=alert(1)>"\'&'
    const plain = reportHtml(run())
    const page = reportHtml(
      run({
        title: bad,
        started: bad,
        recipe: { [bad]: bad },
        versions: { [bad]: bad },
        facts: { [bad]: bad },
        evaluations: [0, 40].map((n) =>
          evaluation(n, { metrics: { [bad]: n }, continuations: [{ prompt: bad, text: bad }] }),
        ),
        events: [event(1, 'non-finite', bad)],
        end: { reason: 'failed', error: bad },
        mask: [[{ text: bad, learnt: true }]],
      }),
    )
    expect(page).not.toContain('<img')
    const scripts = (html: string): number => html.match(/<script/g)!.length
    // One chart more: that of the metric.
    expect(scripts(page)).toBe(scripts(plain) + 1)
    expect(JSON.parse(scriptJson([bad]))).toEqual([bad])
    expect(scriptJson([bad])).not.toContain('<')
    for (const [, json] of page.matchAll(/<script type="application\/json">(.*?)<\/script>/g)) JSON.parse(json!)
  })

  it('allows its own script alone and loads nothing', () => {
    expect(createHash('sha256').update(REPORT_SCRIPT).digest('base64')).toBe(REPORT_SCRIPT_HASH)
    const page = reportHtml(run())
    expect(page).toContain(`default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-${REPORT_SCRIPT_HASH}'`)
    expect(page).not.toMatch(/https?:|\burl\(|@import/)
  })

  it('stays small and keeps the spike of a run of 100,000 steps', () => {
    const steps = learning(100_000).map((s) => (s.step === 43_210 ? { ...s, loss: 5 } : s))
    const evaluations = Array.from({ length: 2000 }, (_, i) => evaluation(50 * (i + 1), { best: i <= 700 }))
    const events = Array.from({ length: 9000 }, (_, i) =>
      event(i, i % 2 ? 'checkpoint' : 'non-finite', 'x'.repeat(5000)),
    )
    const page = reportHtml(
      run({ steps, evaluations, events, mask: Array(50).fill(Array(9000).fill({ text: 'token', learnt: true })) }),
    )
    expect(page.length).toBeLessThan(500_000)
    const points = drawn(figures(page).get('Loss')!, 'raw', 100_000)
    expect(points.length).toBeLessThan(1100)
    const top = points.reduce((a, b) => (b[1] > a[1] ? b : a))
    expect(top[0]).toBeCloseTo(43_210, -2)
    expect(top[1]).toBeCloseTo(5, 1)
    expect(text(page)).toContain('35,050')
  }, 20_000)

  it('lists the best of many evaluations, and counts those left out', () => {
    const evaluations = Array.from({ length: 90 }, (_, i) => evaluation(i, { best: i <= 44 }))
    const rows = [...reportHtml(run({ evaluations })).matchAll(/<th scope="row">(\d+)</g)].map(([, n]) => Number(n))
    expect(rows).toHaveLength(25)
    expect(rows.slice(11, 14)).toEqual([11, 44, 78])
    expect(text(reportHtml(run({ evaluations })))).toContain('65 more between them')
  })

  it('puts beside a prompt only what was said to it', () => {
    const evaluations = [
      evaluation(0, {
        continuations: [
          { prompt: 'B', text: 'to B' },
          { prompt: 'C', text: 'to C' },
        ],
      }),
      evaluation(40, {
        continuations: [
          { prompt: 'A', text: 'new A' },
          { prompt: 'B', text: 'new B' },
        ],
      }),
    ]
    const words = text(reportHtml(run({ evaluations }))).replace(/\s+/g, ' ')
    expect(words).toContain('A Before not asked After · step 40, the best new A Prompt 2 B Before to B')
    expect(words).not.toContain('to C')
  })

  it('says which steps a resumed run lacks', () => {
    expect(text(reportHtml(run({ steps: learning(40).slice(9) })))).toContain('steps 1 to 9 are not in this report')
    expect(text(reportHtml(run()))).not.toContain('not in this report')
  })

  it('gives the same text for the same record', () => {
    expect(reportHtml(run())).toBe(reportHtml(structuredClone(run())))
  })
})
