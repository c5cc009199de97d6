import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { describe, expect, test } from 'vitest'
import { faulty } from './faulty-fs.test-util.ts'
import { faultOf, faultOrNone, filesIn, inFolder, utf8 } from './files.test-util.ts'
import {
  type AdapterFolder,
  atomicWrite,
  atomicWriteFolder,
  fromFloat32,
  nodeFs,
  readAdapter,
  toFloat32,
  type WriteFs,
  writeAdapter,
} from './index.ts'

const adapter = (r: number): AdapterFolder => ({
  config: { r, inference_mode: true },
  tensors: new Map([['w', fromFloat32('w', [r], new Float32Array(r).fill(r))]]),
})
const names = ['adapter_config.json', 'adapter_model.safetensors']

/** Which of the saved adapters lies in the folder: its config and weights must be of one save. */
const savedIn = async (dir: string): Promise<number> => {
  const { config, tensors } = await readAdapter(dir)
  expect([...toFloat32(tensors.get('w')!)]).toEqual(Array(config.r as number).fill(config.r))
  return config.r as number
}

const callsOf = async (save: (dir: string, fs: WriteFs) => Promise<void>, before: boolean): Promise<number> => {
  let count = 0
  await inFolder(async (dir) => {
    if (before) await save(dir, await nodeFs())
    const { fs, calls } = await faulty({})
    await save(dir, fs)
    count = calls.length
  })
  return count
}
const saveTwo = (dir: string, fs: WriteFs): Promise<void> => writeAdapter(dir, adapter(2), fs)

describe('a folder of several files', () => {
  test.each(['ENOSPC', 'EIO', 'EACCES'])(
    '%s at any call: the old set is intact, nothing lies beside it',
    async (code) => {
      const calls = await callsOf(saveTwo, true)
      expect(calls).toBeGreaterThan(10)
      let failed = 0
      for (let at = 0; at < calls; at++)
        await inFolder(async (dir) => {
          await writeAdapter(dir, adapter(1))
          await writeFile(`${dir}/other.txt`, 'other')
          const { fs, calls } = await faulty({ at, code })
          const fault = await faultOrNone(() => saveTwo(dir, fs))
          const where = `call ${at}, ${calls[at]}`
          if (fault) {
            failed++
            expect(fault.code, where).toBe('write-failed')
            expect(fault.message, where).toContain(code)
            expect(await filesIn(dir), where).toEqual([...names, 'other.txt'])
          }
          expect(await savedIn(dir), where).toBe(fault ? 1 : 2)
          await writeAdapter(dir, adapter(3))
          expect(await filesIn(dir), where).toEqual([...names, 'other.txt'])
        })
      expect(failed).toBeGreaterThan(8)
    },
  )

  test('the first save fails at any call: nothing is left', async () => {
    const calls = await callsOf((dir, fs) => writeAdapter(`${dir}/new`, adapter(2), fs), false)
    for (let at = 0; at < calls; at++)
      await inFolder(async (dir) => {
        const { fs, calls } = await faulty({ at, code: 'ENOSPC' })
        const fault = await faultOrNone(() => writeAdapter(`${dir}/new`, adapter(2), fs))
        const left = await readdir(`${dir}/new`).catch(() => [])
        expect(left.sort(), `call ${at}, ${calls[at]}`).toEqual(fault ? [] : names)
      })
  })

  test('everything fails from any call on: one whole set can be read, the next save clears up', async () => {
    const calls = await callsOf(saveTwo, true)
    const found = new Set<number>()
    for (let at = 0; at < calls; at++)
      await inFolder(async (dir) => {
        await writeAdapter(dir, adapter(1))
        const { fs } = await faulty({ at, dead: true })
        const fault = await faultOrNone(() => saveTwo(dir, fs))
        if (fault) expect(fault.code).toBe('write-failed')
        found.add(await savedIn(dir))
        await writeAdapter(dir, adapter(3))
        expect(await savedIn(dir)).toBe(3)
        expect(await filesIn(dir)).toEqual(names)
      })
    expect([...found].sort()).toEqual([1, 2])
  })

  test('of two saves that were cut off the later one counts, unless it had not got as far as its last file', () =>
    inFolder(async (dir) => {
      const later = async (at: number, value: number): Promise<void> => {
        const { fs } = await faulty({ at, dead: true })
        await faultOrNone(() => writeAdapter(dir, adapter(value), fs))
      }
      await writeAdapter(dir, adapter(1))
      const { fs, calls } = await faulty({})
      await writeAdapter(dir, adapter(1), fs)
      const swapping = calls.indexOf('rename')
      await later(swapping + 1, 2)
      expect(await savedIn(dir)).toBe(2)
      await new Promise((tick) => setTimeout(tick, 5))
      await later(calls.indexOf('open') + 1, 3)
      expect(await savedIn(dir)).toBe(2)
      await new Promise((tick) => setTimeout(tick, 5))
      await later(calls.lastIndexOf('rename') - 1, 4)
      expect(await savedIn(dir)).toBe(4)
    }))

  test('everything is on the disk before the first file changes its name', async () => {
    await inFolder(async (dir) => {
      const { fs, calls } = await faulty({})
      await saveTwo(dir, fs)
      const before = calls.slice(0, calls.indexOf('rename'))
      expect(before.filter((call) => call === 'flush')).toHaveLength(2)
      expect(calls.lastIndexOf('flushFolder')).toBeGreaterThan(calls.lastIndexOf('rename'))
    })
  })

  test('writes that take a few bytes at a time', () =>
    inFolder(async (dir) => {
      const { fs } = await faulty({ shortWrite: 7 })
      await writeAdapter(dir, adapter(5), fs)
      expect(await savedIn(dir)).toBe(5)
    }))

  test('a file in the place of the folder', () =>
    inFolder(async (dir) => {
      await writeFile(`${dir}/file`, 'mine')
      expect((await faultOf(() => writeAdapter(`${dir}/file`, adapter(1)))).code).toBe('write-failed')
      expect(await readFile(`${dir}/file`, 'utf8')).toBe('mine')
    }))

  test('a folder in the place of a file', () =>
    inFolder(async (dir) => {
      await mkdir(`${dir}/b/inside`, { recursive: true })
      await writeFile(`${dir}/a`, 'old')
      const files = [
        ['a', utf8('new')],
        ['b', utf8('new')],
      ] as const
      const fault = await faultOrNone(() => atomicWriteFolder(dir, files))
      if (!fault) return
      expect(await readFile(`${dir}/a`, 'utf8')).toBe('old')
      expect(await filesIn(dir)).toEqual(['a', 'b'])
    }))
})

describe('one file', () => {
  const save = (dir: string, fs: WriteFs): Promise<void> => atomicWrite(`${dir}/a`, utf8('new'), fs)

  test('any call fails: the old file or the new, nothing beside it', async () => {
    const calls = await callsOf(save, true)
    expect(calls).toBeGreaterThan(5)
    for (let at = 0; at < calls; at++)
      await inFolder(async (dir) => {
        await writeFile(`${dir}/a`, 'old')
        const { fs, calls } = await faulty({ at, code: 'ENOSPC' })
        const fault = await faultOrNone(() => save(dir, fs))
        const where = `call ${at}, ${calls[at]}`
        if (fault) expect(fault.code, where).toBe('write-failed')
        const text = await readFile(`${dir}/a`, 'utf8')
        expect(['old', 'new'], where).toContain(text)
        expect(fault?.message.includes('unchanged') ?? false, where).toBe(text === 'old')
        expect(await filesIn(dir), where).toEqual(['a'])
      })
  })

  test('pieces that come one by one', () =>
    inFolder(async (dir) => {
      const pieces = async function* () {
        yield utf8('one ')
        yield utf8('two')
      }
      await atomicWrite(`${dir}/sub/a`, pieces())
      expect(await readFile(`${dir}/sub/a`, 'utf8')).toBe('one two')
      expect(await filesIn(`${dir}/sub`)).toEqual(['a'])
    }))

  test('pieces that break off', () =>
    inFolder(async (dir) => {
      await writeFile(`${dir}/a`, 'old')
      const pieces = async function* () {
        yield utf8('one ')
        throw new Error('broke off')
      }
      expect((await faultOf(() => atomicWrite(`${dir}/a`, pieces()))).message).toContain('broke off')
      expect(await readFile(`${dir}/a`, 'utf8')).toBe('old')
      expect(await filesIn(dir)).toEqual(['a'])
    }))

  test('many at once: one of them wins whole', () =>
    inFolder(async (dir) => {
      const texts = Array.from({ length: 20 }, (_, i) => String(i).repeat(1000))
      await Promise.allSettled(texts.map((text) => atomicWrite(`${dir}/a`, utf8(text))))
      expect(texts).toContain(await readFile(`${dir}/a`, 'utf8'))
    }))
})
