import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { evaluation, event, step } from '../report/runs.test-util.ts'
import { crc32c, maskedCrc32c } from './crc32c.ts'
import { purgeRecord, scalarsRecord, textRecord, versionRecord } from './tensorboard-event.ts'
import { tensorBoardLog } from './tensorboard-log.ts'
import { tfrecord } from './tfrecord.ts'

interface Oracle {
  readonly crc: [text: string, crc: number, masked: number][]
  readonly time: number
  readonly version: string
  readonly purge: [step: number, record: string][]
  readonly scalars: [step: number, values: Record<string, string>, record: string][]
  readonly text: [step: number, tag: string, text: string, record: string]
}

/** Made by tooling/oracle/tensorboard.py with TensorBoard's own writer. */
const oracle: Oracle = JSON.parse(await readFile(new URL('../../fixtures/tensorboard.json', import.meta.url), 'utf8'))
const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64')

/** The records of a file, by their lengths; the CRCs are checked. */
const recordsOf = (file: Uint8Array): Uint8Array[] => {
  const records: Uint8Array[] = []
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength)
  for (let at = 0; at < file.length; ) {
    const length = Number(view.getBigUint64(at, true))
    const body = file.subarray(at + 12, at + 12 + length)
    expect(view.getUint32(at + 8, true)).toBe(maskedCrc32c(file.subarray(at, at + 8)))
    expect(view.getUint32(at + 12 + length, true)).toBe(maskedCrc32c(body))
    records.push(body)
    at += length + 16
  }
  return records
}

describe("TensorBoard's records, byte for byte as its own writer makes them", () => {
  const { time } = oracle

  it('CRC-32C, plain and masked', () => {
    for (const [text, crc, masked] of oracle.crc) {
      const bytes = new TextEncoder().encode(text)
      expect([crc32c(bytes), maskedCrc32c(bytes)]).toEqual([crc, masked])
    }
  })

  it('the version, the purge, scalars and texts', () => {
    expect(base64(versionRecord(time))).toBe(oracle.version)
    for (const [at, record] of oracle.purge) expect(base64(purgeRecord(time, at))).toBe(record)
    for (const [at, values, record] of oracle.scalars) {
      const numbers = Object.fromEntries(Object.entries(values).map(([tag, value]) => [tag, Number(value)]))
      expect(base64(scalarsRecord(time, at, numbers))).toBe(record)
    }
    const [at, tag, text, record] = oracle.text
    expect(base64(textRecord(time, at, tag, text))).toBe(record)
  })
})

describe('tensorBoardLog', () => {
  let dir: string
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'graft-tb-'))
  })
  afterEach(() => rm(dir, { recursive: true, force: true }))
  const now = (): number => oracle.time

  it('writes what it hears to a file of its own', async () => {
    const log = tensorBoardLog(join(dir, 'run'), { now })
    await log.onStart!({ done: 0, steps: 2 })
    await log.onStep!(step(1, { loss: 2.5, gradNorm: Number.NaN }))
    await log.onEvaluation!(evaluation(1, { metrics: { loss: 2 }, continuations: [{ prompt: 'a\nb', text: 'c' }] }))
    await log.onEvaluation!(evaluation(2, { metrics: {} }))
    await log.onEvent!(event(2, 'non-finite', 'odd'))
    await log.onEnd?.({ reason: 'finished' })
    const names = await readdir(join(dir, 'run'))
    expect(names).toEqual(['events.out.tfevents.1764048000.graft.0000'])
    const scalars = { loss: 2.5, learning_rate: 1e-3, grad_norm: Number.NaN, tokens_per_second: 200, memory_mib: 1 }
    const said = 'Prompt\n\n    a\n    b\n\nContinuation\n\n    c'
    expect(recordsOf(await readFile(join(dir, 'run', names[0]!)))).toEqual(
      [
        versionRecord(now()),
        purgeRecord(now(), 0),
        scalarsRecord(now(), 1, scalars),
        scalarsRecord(now(), 1, { 'eval/loss': 2 }),
        textRecord(now(), 1, 'samples/1', said),
        textRecord(now(), 2, 'events', '**non-finite** odd'),
      ].map((record) => Buffer.from(record.subarray(12, -4))),
    )
  })

  it('a resumed run writes a new file that purges the steps behind', async () => {
    const later = 'events.out.tfevents.1764048009.graft.0000'
    await writeFile(join(dir, later), 'as it was')
    await tensorBoardLog(dir, { now }).onStart!({ done: 7, steps: 9 })
    const [before, after, ...none] = (await readdir(dir)).sort()
    // The clock was set back: the new file still sorts last.
    expect([before, after, none]).toEqual([later, 'events.out.tfevents.1764048009.graft.0001', []])
    expect(await readFile(join(dir, later), 'utf8')).toBe('as it was')
    expect(base64(recordsOf(await readFile(join(dir, after!)))[1]!)).toBe(base64(tfrecordBody(purgeRecord(now(), 8))))
  })

  it('says which folder cannot be written', async () => {
    const path = join(dir, 'file')
    await writeFile(path, '')
    const fault = await Promise.resolve(tensorBoardLog(path).onStart!({ done: 0, steps: 1 })).catch((e: unknown) => e)
    expect(fault).toMatchObject({ name: 'GraftError', code: 'write-failed', culprit: path })
  })
})

const tfrecordBody = (record: Uint8Array): Uint8Array => {
  expect(tfrecord(record.subarray(12, -4))).toEqual(record)
  return record.subarray(12, -4)
}
