import { writeFile } from 'node:fs/promises'
import { gzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { faultOf, faultOrNone, inFolder, mutate, seeded, utf8 } from './files.test-util.ts'
import { untar } from './untar.ts'

interface Member {
  readonly name: string
  readonly bytes?: Uint8Array
  readonly type?: string
  readonly prefix?: string
  readonly size?: string
  readonly sum?: number
}

/** A header block and its data, padded. */
const member = ({ name, bytes = new Uint8Array(0), type = '0', prefix = '', size, sum }: Member): Uint8Array => {
  const out = new Uint8Array(512 + Math.ceil(bytes.length / 512) * 512)
  const put = (at: number, text: string): void => out.set(utf8(text), at)
  put(0, name)
  put(100, '0000644\0')
  put(124, size ?? `${bytes.length.toString(8).padStart(11, '0')}\0`)
  put(148, ' '.repeat(8))
  put(156, type)
  put(257, 'ustar\x0000')
  put(345, prefix)
  const total = out.subarray(0, 512).reduce((all, byte) => all + byte, 0)
  put(148, `${(sum ?? total).toString(8).padStart(6, '0')}\0 `)
  out.set(bytes, 512)
  return out
}
const tar = (...members: readonly Member[]): Uint8Array => Buffer.concat([...members.map(member), new Uint8Array(1024)])

const list = async (archive: Uint8Array, wanted?: (name: string) => boolean): Promise<[string, string][]> => {
  const found: [string, string][] = []
  await inFolder(async (dir) => {
    await writeFile(`${dir}/a.tgz`, archive)
    for await (const { name, bytes } of untar(`${dir}/a.tgz`, wanted)) found.push([name, Buffer.from(bytes).toString()])
  })
  return found
}

const long = `package/${'deep/'.repeat(30)}file.txt`
const pax = (line: string): Uint8Array => utf8(line)

describe('what npm pack makes', () => {
  const archive = tar(
    { name: 'package/package.json', bytes: utf8('{}') },
    { name: 'package/', type: '5' },
    { name: 'package/empty' },
    { name: 'package/big', bytes: utf8('x'.repeat(100_000)) },
    { name: 'package/old', bytes: utf8('old'), type: '\0' },
  )
  for (const [kind, bytes] of [
    ['plain', archive],
    ['packed', gzipSync(archive)],
  ] as const)
    test(kind, async () => {
      expect(await list(bytes)).toEqual([
        ['package/package.json', '{}'],
        ['package/empty', ''],
        ['package/big', 'x'.repeat(100_000)],
        ['package/old', 'old'],
      ])
    })

  test('only what is wanted', async () => {
    const asked: string[] = []
    const found = await list(gzipSync(archive), (name) => asked.push(name) > 0 && name.endsWith('json'))
    expect(found).toEqual([['package/package.json', '{}']])
    expect(asked).toHaveLength(4)
  })

  test('names longer than a header holds: by prefix, of POSIX, of GNU', async () => {
    const line = ` path=${long}\n`
    const found = await list(
      tar(
        { name: 'b.txt', prefix: 'package/a', bytes: utf8('1') },
        { name: 'PaxHeader', type: 'x', bytes: pax(`14 mtime=12.5\n${line.length + 3}${line}`) },
        { name: 'short', bytes: utf8('2') },
        { name: '././@LongLink', type: 'L', bytes: utf8(`${long}2\0`) },
        { name: 'short', bytes: utf8('3') },
        { name: 'global', type: 'g', bytes: pax('14 mtime=12.5\n') },
        { name: 'last', bytes: utf8('4') },
      ),
    )
    expect(found).toEqual([
      ['package/a/b.txt', '1'],
      [long, '2'],
      [`${long}2`, '3'],
      ['last', '4'],
    ])
  })

  test('links, devices and folders are passed over', async () => {
    const found = await list(tar(...['1', '2', '3', '5'].map((type) => ({ name: '/etc/x', type })), { name: 'a' }))
    expect(found).toEqual([['a', '']])
  })
})

describe('refused', () => {
  test.each(['../a', 'a/../../b', '/etc/passwd', 'a\\..\\b', '..'])('a file named %s', async (name) => {
    expect((await faultOf(() => list(tar({ name })))).message).toContain('a path within the archive')
  })

  test('such a name hidden in a long one', async () => {
    const archive = tar({ name: 'x', type: 'L', bytes: utf8('../../a') }, { name: 'harmless' })
    expect((await faultOf(() => list(archive))).code).toBe('bad-file')
  })

  test.each<[string, Uint8Array]>([
    ['nothing', new Uint8Array(0)],
    ['no archive', utf8('no archive'.repeat(100))],
    ['a wrong checksum', tar({ name: 'a', sum: 1 })],
    ['a size that is no number', tar({ name: 'a', size: 'x' })],
    ['a size beyond the cap', tar({ name: 'a', size: '77777777777\0' })],
    ['a size beyond the file', tar({ name: 'a', size: '00007777777\0' })],
    ['a long name beyond the cap', tar({ name: 'a', type: 'L', size: '00007777777\0' })],
    ['damaged packing', gzipSync(tar({ name: 'a', bytes: utf8('text') })).fill(0xff, 20)],
    ['no end', member({ name: 'a' })],
  ])('%s', async (_, archive) => {
    expect((await faultOf(() => list(archive))).code).toBe('bad-file')
  })

  test('cut at every hundredth byte', async () => {
    const random = seeded(3)
    const noise = Uint8Array.from({ length: 3000 }, () => random(256))
    // Behind the data only zeros are left: one block of them is an end.
    for (const archive of [tar({ name: 'a', bytes: noise }), gzipSync(tar({ name: 'a', bytes: noise }))])
      for (let at = 0; at < 3000; at += 100) await faultOf(() => list(archive.subarray(0, at)))
  })

  test('no such file', async () => {
    expect((await faultOf(async () => (await untar('nowhere.tgz').next()).value)).code).toBe('no-file')
  })
})

test('500 random changes: files or a GraftError, never another', async () => {
  const archive = tar(
    { name: 'package/a', bytes: utf8('text') },
    { name: 'x', type: 'L', bytes: utf8(long) },
    { name: 'b' },
  )
  for (let seed = 0; seed < 500; seed++) {
    const random = seeded(seed)
    await faultOrNone(() => list(mutate(seed % 2 ? gzipSync(archive) : archive, random)))
  }
})
