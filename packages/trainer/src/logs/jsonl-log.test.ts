import { appendFile, mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { GraftError } from '@graftjs/tensor/error'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { evaluation, event, step } from '../report/runs.test-util.ts'
import { jsonlLog } from './jsonl-log.ts'
import type { LogSink } from './log-sink.ts'
import { parseJsonlLog, readJsonlLog } from './read-jsonl-log.ts'

let dir: string
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'graft-log-'))
})
afterEach(() => rm(dir, { recursive: true, force: true }))

const memory = (): LogSink & { text: string } => {
  const sink = {
    text: '',
    read: async () => sink.text,
    replace: async (text: string) => {
      sink.text = text
    },
    append: async (text: string) => {
      sink.text += text
    },
  }
  return sink
}

describe('jsonlLog', () => {
  it('writes a line a record, which readJsonlLog gives back', async () => {
    const path = join(dir, 'below', 'log.jsonl')
    const log = jsonlLog(path)
    const said = evaluation(2, { continuations: [{ prompt: 'a "b"\n', text: 'NaN' }], metrics: { loss: 1, f1: 0.5 } })
    await log.onStart!({ done: 0, steps: 2 })
    await log.onEvaluation!(evaluation(0))
    await log.onStep!(step(1))
    await log.onStep!(step(2))
    await log.onEvaluation!(said)
    await log.onEvent!(event(2, 'checkpoint'))
    await log.onEnd!({ reason: 'finished' })
    const lines = (await readFile(path, 'utf8')).trimEnd().split('\n')
    expect(lines.map((line) => JSON.parse(line).type)).toEqual([
      'evaluation',
      'step',
      'step',
      'evaluation',
      'event',
      'end',
    ])
    expect(await readJsonlLog(path)).toEqual({
      steps: [step(1), step(2)],
      evaluations: [evaluation(0), said],
      events: [event(2, 'checkpoint')],
      end: { step: 2, reason: 'finished' },
      unread: 0,
    })
  })

  it('keeps numbers that are not finite, as strings that Number() reads', async () => {
    const sink = memory()
    const log = jsonlLog(sink)
    const odd = step(1, { loss: Number.NaN, gradNorm: Number.POSITIVE_INFINITY, skipped: true })
    await log.onStep!(odd)
    await log.onStep!(step(2, { loss: Number.NEGATIVE_INFINITY }))
    await log.onEvaluation!(evaluation(2, { metrics: { loss: Number.NaN } }))
    expect(
      sink.text
        .split('\n')
        .slice(0, 2)
        .map((line) => JSON.parse(line).loss),
    ).toEqual(['NaN', '-Infinity'])
    const { steps, evaluations } = parseJsonlLog(sink.text)
    expect(steps).toEqual([odd, step(2, { loss: Number.NEGATIVE_INFINITY })])
    expect(evaluations[0]!.metrics).toEqual({ loss: Number.NaN })
  })

  it('takes away what is behind the step that a run goes on from, and what a kill cut off', async () => {
    const path = join(dir, 'log.jsonl')
    const first = jsonlLog(path)
    await first.onStart!({ done: 0, steps: 4 })
    for (const n of [1, 2, 3]) await first.onStep!(step(n))
    await first.onEvaluation!(evaluation(2))
    await first.onEvent!(event(2, 'checkpoint'))
    await first.onEvent!(event(3, 'non-finite'))
    await first.onEnd!({ reason: 'failed', error: new TypeError('odd') })
    const whole = (await readFile(path, 'utf8')).split('\n')
    expect(JSON.parse(whole.at(-2)!)).toEqual({ type: 'end', step: 3, reason: 'failed', error: 'TypeError: odd' })
    await appendFile(path, '{"type":"step","step":1')

    const second = jsonlLog(path)
    await second.onStart!({ done: 2, steps: 4 })
    expect((await readFile(path, 'utf8')).split('\n')).toEqual([whole[0], whole[1], whole[3], whole[4], ''])
    await second.onStep!(step(3, { loss: 9 }))
    expect((await readJsonlLog(path)).steps.map(({ loss }) => loss)).toEqual([3, 1.5, 9])
    expect(await readdir(dir)).toEqual(['log.jsonl'])
  })

  it('takes the end away where the run goes on from it', async () => {
    const sink = memory()
    const log = jsonlLog(sink)
    await log.onStep!(step(1))
    const before = sink.text
    await log.onEnd!({ reason: 'aborted' })
    await jsonlLog(sink).onStart!({ done: 1, steps: 4 })
    expect(sink.text).toBe(before)
  })

  it('starts empty for a run that starts at step 0, the evaluation before it too', async () => {
    const sink = memory()
    await jsonlLog(sink).onEvaluation!(evaluation(0))
    await jsonlLog(sink).onStart!({ done: 0, steps: 4 })
    expect(sink.text).toBe('')
  })

  it('goes on where the log is gone', async () => {
    const path = join(dir, 'log.jsonl')
    await jsonlLog(path).onStart!({ done: 5, steps: 9 })
    expect(await readFile(path, 'utf8')).toBe('')
  })

  it('says which file cannot be written', async () => {
    const path = join(dir, 'log.jsonl')
    await mkdir(path)
    const fault = await Promise.resolve(jsonlLog(path).onStep!(step(1))).catch((e: unknown) => e)
    expect(fault).toBeInstanceOf(GraftError)
    expect(fault).toMatchObject({ code: 'write-failed', culprit: path })
  })
})

describe('parseJsonlLog', () => {
  it('leaves out and counts what is no record', () => {
    const good = JSON.stringify({ type: 'step', ...step(1) })
    const lines = [
      '{"type":"step","st',
      '[]',
      'null',
      '{"type":"step","step":2}',
      '{"type":"other","step":3}',
      good,
      '',
    ]
    expect(parseJsonlLog(lines.join('\n'))).toEqual({ steps: [step(1)], evaluations: [], events: [], unread: 5 })
  })

  it('knows no end where the run went on after it', () => {
    const lines = [
      { type: 'end', step: 1, reason: 'aborted' },
      { type: 'step', ...step(2) },
    ]
    expect(parseJsonlLog(lines.map((line) => JSON.stringify(line)).join('\n')).end).toBeUndefined()
  })

  it('refuses a log that is not there', async () => {
    const fault = await readJsonlLog(join(dir, 'none.jsonl')).catch((e: unknown) => e)
    expect(fault).toMatchObject({ name: 'GraftError', code: 'no-file', culprit: join(dir, 'none.jsonl') })
  })
})
