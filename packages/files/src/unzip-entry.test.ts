import { readFile, writeFile } from 'node:fs/promises'
import { crc32, deflateRawSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { faultOf, faultOrNone, filesIn, inFolder, mutate, seeded, utf8 } from './files.test-util.ts'
import { unzipEntry } from './index.ts'

interface Entry {
  readonly name: string
  readonly bytes: Uint8Array
  readonly method?: number
  readonly packed?: Uint8Array
  readonly size?: number
  readonly crc?: number
  /** What the directory says otherwise than the file's own header. */
  readonly ownName?: string
  readonly packedSize?: number
  readonly flags?: number
  readonly local?: number
}
/** A zip of these entries: local headers with data, the directory, its end. */
const zip = (...entries: readonly Entry[]): Uint8Array => {
  const [files, directory]: [Buffer[], Buffer[]] = [[], []]
  let offset = 0
  for (const entry of entries) {
    const { name, bytes, method = 8, packed, size = bytes.length, crc = crc32(bytes), ownName = name } = entry
    const data = packed ?? (method === 8 ? deflateRawSync(bytes) : bytes)
    const common = Buffer.alloc(26)
    common.writeUInt16LE(20, 0)
    common.writeUInt16LE(entry.flags ?? 0, 2)
    common.writeUInt16LE(method, 4)
    common.writeUInt32LE(crc, 10)
    common.writeUInt32LE(entry.packedSize ?? data.length, 14)
    common.writeUInt32LE(size, 18)
    common.writeUInt16LE(utf8(name).length, 22)
    const local = Buffer.concat([Buffer.from('PK\x03\x04'), common, utf8(ownName), data])
    const place = Buffer.alloc(14)
    place.writeUInt32LE(entry.local ?? offset, 10)
    directory.push(Buffer.concat([Buffer.from('PK\x01\x02\x14\0'), common, place, utf8(name)]))
    files.push(local)
    offset += local.length
  }
  const end = Buffer.alloc(22)
  end.write('PK\x05\x06', 'latin1')
  end.writeUInt16LE(entries.length, 8)
  end.writeUInt16LE(entries.length, 10)
  end.writeUInt32LE(Buffer.concat(directory).length, 12)
  end.writeUInt32LE(offset, 16)
  return Uint8Array.from(Buffer.concat([...files, ...directory, end]))
}

const text = utf8('a text with some words, some of them again: words, words, words\n')
const good = (): Uint8Array =>
  zip(
    { name: 'other', bytes: utf8('other') },
    { name: 'dir/a.txt', bytes: text },
    { name: 's', bytes: text, method: 0 },
  )

/** Takes `entry` out of these bytes; what came out. */
const take = async (dir: string, bytes: Uint8Array, entry: string): Promise<Uint8Array> => {
  await writeFile(`${dir}/a.zip`, bytes)
  await unzipEntry(`${dir}/a.zip`, entry, `${dir}/out`)
  return Uint8Array.from(await readFile(`${dir}/out`))
}

describe('unzipEntry', () => {
  test.each(['dir/a.txt', 's'])('deflated and stored: %s', (entry) =>
    inFolder(async (dir) => {
      expect(await take(dir, good(), entry)).toEqual(text)
      expect(await filesIn(dir)).toEqual(['a.zip', 'out'])
    }),
  )

  test('an empty entry', () =>
    inFolder(async (dir) => {
      expect(await take(dir, zip({ name: 'e', bytes: new Uint8Array(0) }), 'e')).toHaveLength(0)
      expect(await take(dir, zip({ name: 'e', bytes: new Uint8Array(0), method: 0 }), 'e')).toHaveLength(0)
    }))

  test('a comment behind the end', () =>
    inFolder(async (dir) => {
      const bytes = Buffer.concat([good(), utf8('comment')])
      bytes.writeUInt16LE(7, bytes.length - 9)
      expect(await take(dir, bytes, 's')).toEqual(text)
    }))

  const a = { name: 'a', bytes: text }
  const random = seeded(1)
  const noise = Uint8Array.from({ length: 200_000 }, () => random(256))
  // Sizes and sums that fit, in places that do not: the file of one entry is the data of another; the directory is data.
  const inner = zip({ name: 'b', bytes: text }).subarray(0, 100)
  const beyond = Buffer.concat([text, Buffer.from('PK\x01\x02')])
  test.each<[string, Uint8Array]>([
    ['no such entry', zip({ name: 'b', bytes: text })],
    ['no zip', text],
    ['an empty file', new Uint8Array(0)],
    ['a wrong CRC-32', zip({ ...a, crc: 1 })],
    ['a wrong CRC-32, stored', zip({ ...a, method: 0, crc: 1 })],
    ['a size too small', zip({ ...a, size: 10 })],
    ['a size of zero', zip({ ...a, size: 0 })],
    ['a size too large', zip({ ...a, size: 1000 })],
    ['a size of 4 GB', zip({ ...a, size: 0xffffffff })],
    ['a size too small, stored', zip({ ...a, method: 0, size: 10 })],
    ['damaged data', zip({ ...a, packed: Uint8Array.of(0xff, 0xff, 0xff) })],
    ['data that ends early', zip({ ...a, packed: deflateRawSync(text).subarray(0, -1) })],
    [
      'data that is too much and ends early',
      zip({ name: 'a', bytes: noise, size: 100_000, packed: deflateRawSync(noise).subarray(0, -1) }),
    ],
    ['a method that is unknown', zip({ ...a, method: 99 })],
    ['the entry twice', zip(a, { name: 'a', bytes: utf8('other') })],
    ['another name in its own header', zip({ ...a, ownName: 'b' })],
    ['an encrypted entry', zip({ ...a, flags: 1 })],
    ['an entry over another one', zip({ name: 'a', method: 0, bytes: inner }, { name: 'b', bytes: text, local: 31 })],
    [
      'an entry over the directory',
      zip({ name: 'a', method: 0, bytes: beyond, packed: text, packedSize: beyond.length }),
    ],
    ['an entry beyond the archive', zip({ ...a, local: 10_000 })],
    ['a bomb', zip({ name: 'a', bytes: new Uint8Array(20_000_000) })],
  ])('refused: %s', (what, bytes) =>
    inFolder(async (dir) => {
      await writeFile(`${dir}/out`, 'old')
      const fault = await faultOf(() => take(dir, bytes, 'a'))
      expect(fault.code).toBe(what === 'no such entry' ? 'no-entry' : 'bad-file')
      expect(fault.message).toContain('a.zip')
      expect(await readFile(`${dir}/out`, 'utf8')).toBe('old')
      expect(await filesIn(dir)).toEqual(['a.zip', 'out'])
    }),
  )

  test('no archive, and no folder for the file', () =>
    inFolder(async (dir) => {
      expect((await faultOf(() => unzipEntry(`${dir}/none.zip`, 'a', `${dir}/out`))).code).toBe('no-file')
      await writeFile(`${dir}/a.zip`, zip(a))
      await faultOf(() => unzipEntry(`${dir}/a.zip`, 'a', `${dir}/a.zip/out`))
      expect(await filesIn(dir)).toEqual(['a.zip'])
    }))

  test('an archive that is cut at any byte', () =>
    inFolder(async (dir) => {
      const bytes = zip(a)
      for (let length = 0; length < bytes.length; length++) await faultOf(() => take(dir, bytes.slice(0, length), 'a'))
      expect(await filesIn(dir)).toEqual(['a.zip'])
    }))

  test('1,000 random changes: the very bytes or a GraftError', () =>
    inFolder(async (dir) => {
      for (let seed = 0; seed < 1_000; seed++) {
        const changed = mutate(good(), seeded(seed))
        await faultOrNone(async () => {
          if (!Buffer.from(await take(dir, changed, 'dir/a.txt')).equals(text)) throw new Error('other bytes')
        }).catch((cause: Error) => {
          throw new Error(`seed ${seed}`, { cause })
        })
      }
      expect(await filesIn(dir)).toEqual(['a.zip', 'out'])
    }))
})
