import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { jsonlLog } from '../logs/jsonl-log.ts'
import { report } from './report.ts'
import { reportHtml } from './report-html.ts'
import { evaluation, event, step } from './runs.test-util.ts'

let dir: string
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'graft-report-'))
})
afterEach(() => rm(dir, { recursive: true, force: true }))

const pages = () => {
  const written: string[] = []
  return { written, write: async (_: string, html: string) => void written.push(html) }
}

describe('report', () => {
  it('writes a page at the start and one at the end, whole files alone', async () => {
    const path = join(dir, 'out', 'report.html')
    const callbacks = report({ path, title: 'Mine', started: 'now', everySeconds: 1000 })
    await callbacks.onStart!({ done: 0, steps: 2 })
    expect(await readFile(path, 'utf8')).toContain('Running')
    await callbacks.onEvaluation!(evaluation(0))
    await callbacks.onStep!(step(1))
    await callbacks.onEvent!(event(1, 'checkpoint'))
    expect(await readFile(path, 'utf8')).toContain('no step made')
    await callbacks.onEnd!({ reason: 'finished' })
    const record = { title: 'Mine', started: 'now', steps: [step(1)], evaluations: [evaluation(0)] }
    expect(await readFile(path, 'utf8')).toBe(
      reportHtml({ ...record, events: [event(1, 'checkpoint')], end: { reason: 'finished' } }),
    )
    expect(await readdir(join(dir, 'out'))).toEqual(['report.html'])
  })

  it('writes while the run goes on, and what a run failed of', async () => {
    const { written, write } = pages()
    const callbacks = report({ path: 'r.html', everySeconds: 0, write })
    await callbacks.onStart!({ done: 0, steps: 9 })
    // A page takes no more than its share of the time: the next is due fifty times as late as this one took.
    const until = performance.now() + 5000
    for (let n = 1; written.length < 3 && performance.now() < until; n++) {
      await callbacks.onStep!(step(n))
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    expect(written.length).toBe(3)
    await callbacks.onEnd!({ reason: 'failed', error: new Error('no more memory') })
    expect(written.at(-1)).toContain('no more memory')
    expect(written.map((page) => page.includes('http-equiv="refresh"'))).toEqual([true, true, true, false])
  })

  it('has the earlier steps of a resumed run from its log', async () => {
    const path = join(dir, 'log.jsonl')
    const first = jsonlLog(path)
    await first.onStart!({ done: 0, steps: 4 })
    for (const n of [1, 2, 3]) await first.onStep!(step(n, { loss: n }))
    await first.onEvaluation!(evaluation(2))
    await first.onEvent!(event(3, 'non-finite', 'gone again'))
    const { written, write } = pages()
    const callbacks = report({ path: 'r.html', log: path, started: 'now', write })
    await callbacks.onStart!({ done: 2, steps: 4 })
    await callbacks.onStep!(step(3, { loss: 9 }))
    await callbacks.onEnd!({ reason: 'finished' })
    const steps = [step(1, { loss: 1 }), step(2, { loss: 2 }), step(3, { loss: 9 })]
    expect(written.at(-1)).toBe(
      reportHtml({
        title: 'Training run',
        started: 'now',
        steps,
        evaluations: [evaluation(2)],
        events: [],
        end: { reason: 'finished' },
      }),
    )
  })

  it('says at the start that it cannot be written, and loses no run to a later fault', async () => {
    await writeFile(join(dir, 'file'), '')
    const path = join(dir, 'file', 'report.html')
    const fault = await Promise.resolve(report({ path }).onStart!({ done: 0, steps: 1 })).catch((e: unknown) => e)
    expect(fault).toMatchObject({ name: 'GraftError', code: 'write-failed', culprit: path })

    const full = new Error('disk full')
    const faults: unknown[] = []
    let writes = 0
    const write = async (): Promise<void> => {
      if (writes++ > 0) throw full
    }
    const told = report({ path, write, everySeconds: 0, onFault: (e) => void faults.push(e) })
    await told.onStart!({ done: 0, steps: 1 })
    for (let n = 1; faults.length === 0 && n < 1000; n++) {
      await told.onStep!(step(n))
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    await told.onEnd!({ reason: 'finished' })
    expect(faults).toEqual([full, full])

    writes = 0
    const untold = report({ path, write })
    await untold.onStart!({ done: 0, steps: 1 })
    await expect(untold.onEnd!({ reason: 'finished' })).rejects.toBe(full)
  })
})
