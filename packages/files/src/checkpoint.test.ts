import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import type { GraftError } from '@graftjs/tensor/error'
import { describe, expect, test } from 'vitest'
import { faulty } from './faulty-fs.test-util.ts'
import { faultOf, filesIn, inFolder } from './files.test-util.ts'
import {
  type Checkpoint,
  fromFloat32,
  listCheckpoints,
  newestCheckpoint,
  readCheckpoint,
  removeCheckpoints,
  toFloat32,
  writeCheckpoint,
} from './index.ts'

const checkpoint = (step: number): Checkpoint => ({
  step,
  run: { losses: [0.1, 1 / 3], name: 'Zoë' },
  parameters: [fromFloat32('a.lora_A.weight', [2, 2], Float32Array.of(step, -0, 1e-45, 3))],
  // A scalar, and a name that would come first in an object.
  optimizer: [fromFloat32('a.step', [], Float32Array.of(step)), fromFloat32('7', [1], Float32Array.of(7))],
})
const stepsIn = async (dir: string): Promise<number[]> => (await listCheckpoints(dir)).map(({ step }) => step)

describe('a checkpoint', () => {
  test('comes back bit for bit', () =>
    inFolder(async (dir) => {
      const folder = await writeCheckpoint(`${dir}/a/b`, checkpoint(12))
      expect(folder).toBe(`${dir}/a/b/step-00000012`)
      const { step, run, parameters, optimizer } = await readCheckpoint(folder)
      expect([step, run]).toEqual([12, checkpoint(12).run])
      expect(parameters.map(toFloat32)).toEqual([Float32Array.of(12, -0, 1e-45, 3)])
      expect(optimizer.map(({ name, shape }) => [name, shape])).toEqual([
        ['7', [1]],
        ['a.step', []],
      ])
    }))

  test('of version 1 is read by all versions after it', async () => {
    const fixture = fileURLToPath(new URL('../fixtures/checkpoint-v1', import.meta.url))
    const newest = (await newestCheckpoint(fixture, () => {}))!
    expect(newest).toMatchObject({ step: 3, run: { facts: { seed: 5 }, losses: [0.5, 1 / 3, 0.25] } })
    expect(newest.parameters.map((t) => [t.name, t.shape, [...toFloat32(t)]])).toEqual([
      ['a.lora_A.weight', [2, 2], [1, -0, Math.fround(1e-45), 3]],
    ])
    expect(newest.optimizer.map((t) => [t.name, t.shape, [...toFloat32(t)]])).toEqual([
      ['a.lora_A.weight.exp_avg', [2, 2], [4, 5, 6, 7]],
      ['a.lora_A.weight.step', [], [3]],
    ])
  })

  test('may have nothing to remember', () =>
    inFolder(async (dir) => {
      const folder = await writeCheckpoint(dir, { step: 0, run: {}, parameters: [], optimizer: [] })
      expect(await readCheckpoint(folder)).toEqual({ step: 0, run: {}, parameters: [], optimizer: [] })
    }))

  test('displaces the oldest, and those of steps that were not to be', () =>
    inFolder(async (dir) => {
      for (const step of [2, 4, 6]) await writeCheckpoint(dir, checkpoint(step), { keep: 3 })
      await writeFile(`${dir}/notes.txt`, 'mine')
      await mkdir(`${dir}/step-00000005`)
      await writeCheckpoint(dir, checkpoint(5), { keep: 2 })
      expect(await filesIn(dir)).toEqual(['notes.txt', 'step-00000004', 'step-00000005'])
      // What a kill left of a newer one does not count.
      await rm(`${dir}/step-00000005/checkpoint.json`)
      await writeCheckpoint(dir, checkpoint(7), { keep: 2 })
      expect(await stepsIn(dir)).toEqual([7, 4])
      await removeCheckpoints(dir)
      expect(await filesIn(dir)).toEqual(['notes.txt'])
      await removeCheckpoints(`${dir}/none`)
    }))

  test('that is there is written over as a whole', () =>
    inFolder(async (dir) => {
      await writeCheckpoint(dir, checkpoint(1))
      const folder = await writeCheckpoint(dir, { ...checkpoint(1), run: { again: true } })
      expect((await readCheckpoint(folder)).run).toEqual({ again: true })
      expect(await filesIn(folder)).toHaveLength(4)
    }))

  test.each(['ENOSPC', 'EIO', 'EACCES'])(
    '%s at any call: the one before it is intact, no litter after the next',
    (code) =>
      inFolder(async (root) => {
        const { fs: counting, calls } = await faulty({})
        await writeCheckpoint(`${root}/counted`, checkpoint(1))
        await writeCheckpoint(`${root}/counted`, checkpoint(2), { keep: 1, fs: counting })
        for (let at = 0; at < calls.length; at++) {
          const dir = `${root}/${at}`
          await writeCheckpoint(dir, checkpoint(1))
          const { fs } = await faulty({ at, code })
          const fault = await writeCheckpoint(dir, checkpoint(2), { keep: 1, fs }).then(
            () => undefined,
            (e: unknown) => e as GraftError,
          )
          const where = `call ${at}, ${calls[at]}`
          if (fault) expect([fault.name, fault.code], where).toEqual(['GraftError', 'write-failed'])
          if (fault) expect((await readCheckpoint(`${dir}/step-00000001`)).step, where).toBe(1)
          const newest = await newestCheckpoint(dir, (skipped) => expect(skipped, where).toBeUndefined())
          expect(newest?.step, where).toBe(fault && !fault.message.includes('is there') ? 1 : 2)
          await writeCheckpoint(dir, checkpoint(3), { keep: 1 })
          expect(await filesIn(dir), where).toEqual(['step-00000003'])
        }
      }),
  )

  test('everything fails from any call on: a whole one can be read', () =>
    inFolder(async (root) => {
      const { fs: counting, calls } = await faulty({})
      await writeCheckpoint(`${root}/counted`, checkpoint(1))
      await writeCheckpoint(`${root}/counted`, checkpoint(2), { keep: 1, fs: counting })
      const found = new Set<number>()
      for (let at = 0; at < calls.length; at++) {
        const dir = `${root}/${at}`
        await writeCheckpoint(dir, checkpoint(1))
        const { fs } = await faulty({ at, dead: true })
        await writeCheckpoint(dir, checkpoint(2), { keep: 1, fs }).catch(() => {})
        found.add((await newestCheckpoint(dir, () => {}))!.step)
        await writeCheckpoint(dir, checkpoint(3), { keep: 1 })
        expect(await filesIn(dir)).toEqual(['step-00000003'])
        expect(await readdir(`${dir}/step-00000003`)).toHaveLength(4)
      }
      expect([...found].sort()).toEqual([1, 2])
    }))
})

describe('what is refused, by name', () => {
  const broken = (breakIt: (text: string) => string, code: string, message: RegExp) =>
    inFolder(async (dir) => {
      const folder = await writeCheckpoint(dir, checkpoint(3))
      const file = `${folder}/checkpoint.json`
      await writeFile(file, breakIt(await readFile(file, 'utf8')))
      const fault = await faultOf(() => readCheckpoint(folder))
      expect(fault.code).toBe(code)
      expect(fault.message).toMatch(message)
      expect(fault.message).toContain(folder)
    })
  test('another format', () =>
    broken((t) => t.replace('graft-checkpoint', 'x'), 'bad-file', /format: given "x"; expected "graft-checkpoint"/))
  test('a newer version', () =>
    broken((t) => t.replace('"version": 1', '"version": 2'), 'newer-version', /given 2; expected at most 1/))
  test('no version', () =>
    broken((t) => t.replace('"version": 1', '"version": null'), 'bad-file', /version: given null; expected 1/))
  test('the step of another', () =>
    broken((t) => t.replace('"step": 3', '"step": 4'), 'bad-file', /step: given 4; expected the step in the name/))
  test('another hash', () => broken((t) => t.replace(/[0-9a-f]{64}/, 'f'.repeat(64)), 'bad-file', /SHA-256/))
  test('no JSON', () => broken(() => '{', 'bad-file', /JSON/))
  test('no object', () => broken(() => '[]', 'bad-file', /JSON object/))

  test('a file in the place of the folder', () =>
    inFolder(async (dir) => {
      await writeFile(`${dir}/file`, 'mine')
      expect((await faultOf(() => listCheckpoints(`${dir}/file`))).message).toMatch(/file: cannot be listed/)
      expect((await faultOf(() => writeCheckpoint(`${dir}/file`, checkpoint(1)))).code).toBe('write-failed')
      expect(await newestCheckpoint(`${dir}/none`, () => {})).toBeUndefined()
    }))
})
