import { readFile, rename, rm, writeFile } from 'node:fs/promises'
import { describe, expect, test } from 'vitest'
import { faultOf, filesIn, inFolder, utf8 } from './files.test-util.ts'
import {
  bytesSource,
  fileSource,
  type LazyTensor,
  openSafetensors,
  openSharded,
  toFloat32,
  writeSafetensors,
  writeSharded,
} from './index.ts'

const lazy = (name: string, ...values: number[]): LazyTensor => ({
  name,
  dtype: 'F32',
  shape: [values.length],
  bytes: () => new Uint8Array(Float32Array.from(values).buffer),
})
const five = [lazy('a', 1), lazy('b', 2, 3), lazy('c', 4), lazy('d', 5, 6, 7, 8), lazy('__proto__', 9)]
const index = 'model.safetensors.index.json'
const shard = (i: number, of: number) => `model-0000${i}-of-0000${of}.safetensors`

describe('writeSharded and openSharded', () => {
  test('as many tensors in a shard as fit, a large one alone; read back as one file', () =>
    inFolder(async (dir) => {
      const names = await writeSharded(dir, five, { maxShardBytes: 12, beside: [['config.json', utf8('{}')]] })
      expect(names).toEqual([1, 2, 3, 4].map((i) => shard(i, 4)))
      expect(await filesIn(dir)).toEqual(['config.json', ...names, index].sort())
      const json = JSON.parse(await readFile(`${dir}/${index}`, 'utf8')) as Record<string, object>
      expect(json.metadata).toEqual({ total_size: 36 })
      expect(Object.entries(json.weight_map!)).toContainEqual(['__proto__', shard(4, 4)])
      const file = await openSharded(dir)
      expect(file.shards.toSorted()).toEqual(names)
      expect(file.metadata.get('format')).toBe('pt')
      expect([...toFloat32(await file.read('d'))]).toEqual([5, 6, 7, 8])
      expect([...toFloat32(await file.read('__proto__'))]).toEqual([9])
      expect(file.tensors.get('b')).toMatchObject({ dtype: 'F32', shape: [2] })
      expect((await faultOf(() => file.read('e'))).message).toMatch(
        /index\.json: given e; expected one of its 5 tensors/,
      )
      await file.close()
    }))

  test('all in one: the same bytes as writeSafetensors, and no index', () =>
    inFolder(async (dir) => {
      expect(await writeSharded(dir, five)).toEqual(['model.safetensors'])
      const eager = await Promise.all(five.map(async (t) => ({ ...t, bytes: await t.bytes() })))
      const written = await readFile(`${dir}/model.safetensors`)
      expect(written.equals(writeSafetensors(eager, { format: 'pt' }))).toBe(true)
    }))

  test('weights of an earlier save do not hide the new ones, nor stay behind', () =>
    inFolder(async (dir) => {
      await writeSharded(dir, five)
      await writeSharded(dir, five, { maxShardBytes: 8 })
      expect(await filesIn(dir)).not.toContain('model.safetensors')
      await writeSharded(dir, five, { maxShardBytes: 20 })
      expect(await filesIn(dir)).toEqual([shard(1, 2), shard(2, 2), index].sort())
      await writeSharded(dir, five)
      expect(await filesIn(dir)).toEqual(['model.safetensors'])
    }))

  test('a tensor that cannot be made: the old files stay', () =>
    inFolder(async (dir) => {
      await writeSharded(dir, five)
      const before = await readFile(`${dir}/model.safetensors`)
      const broken = [...five, { ...lazy('z', 1), bytes: () => new Uint8Array(3) }]
      const fault = await faultOf(() => writeSharded(dir, broken, { maxShardBytes: 8 }))
      expect(fault.message).toMatch(/z: given 3 bytes; expected 4/)
      await faultOf(() => writeSharded(dir, [...five, lazy('a', 2)], { maxShardBytes: 4 }))
      await faultOf(() => writeSharded(dir, five, { maxShardBytes: Number.NaN }))
      expect(await filesIn(dir)).toEqual(['model.safetensors'])
      expect((await readFile(`${dir}/model.safetensors`)).equals(before)).toBe(true)
    }))

  test('a tensor is read from its place alone', async () => {
    const eager = await Promise.all(five.map(async (t) => ({ ...t, bytes: await t.bytes() })))
    const bytes = writeSafetensors(eager)
    const weightMap = Object.fromEntries(five.map(({ name }) => [name, 'm.safetensors']))
    const reads: number[] = []
    const file = await openSharded(async (name) => {
      const source = bytesSource(name === index ? utf8(JSON.stringify({ weight_map: weightMap })) : bytes, name)
      const read = (offset: number, length: number) => {
        reads.push(length)
        return source.read(offset, length)
      }
      return { ...source, read }
    })
    reads.length = 0
    await file.read('b')
    expect(reads).toEqual([8])
  })
})

describe('an index that is refused', () => {
  const open = (json: unknown, shards: Record<string, string[]> = { 'a.safetensors': ['a'] }) =>
    openSharded(async (name) => {
      if (name === index) return bytesSource(utf8(typeof json === 'string' ? json : JSON.stringify(json)), name)
      if (!(name in shards)) return fileSource(`/nowhere/${name}`)
      const tensors = await Promise.all(
        shards[name]!.map(async (t) => ({ ...lazy(t, 1), bytes: await lazy(t, 1).bytes() })),
      )
      return bytesSource(writeSafetensors(tensors), name)
    })

  test.each<[string, unknown, RegExp]>([
    ['no JSON', '{', /given what is no JSON/],
    ['no object', [], /given no weight_map/],
    ['no weight_map', {}, /given no weight_map/],
    ['a list', { weight_map: [] }, /given no weight_map/],
    ['a key twice', '{"weight_map":{"a":"a.safetensors","a":"a.safetensors"}}', /"a" twice/],
    ...[
      '../a.safetensors',
      '..',
      '/etc/a.safetensors',
      'sub/a.safetensors',
      'sub\\a.safetensors',
      'C:a.safetensors',
      '.a.safetensors',
      'a.bin',
      'a\0.safetensors',
      '',
      7,
      null,
    ].map((file): [string, unknown, RegExp] => [
      `the file ${JSON.stringify(file)}`,
      { weight_map: { a: file } },
      /^model\.safetensors\.index\.json: given "a" in .*; expected the name of a \.safetensors file beside the index$/,
    ]),
    [
      'too many shards',
      { weight_map: Object.fromEntries(Array.from({ length: 10_001 }, (_, i) => [`${i}`, `${i}.safetensors`])) },
      /10001 shards; expected at most 10000/,
    ],
  ])('%s', async (_, json, message) => {
    const fault = await faultOf(() => open(json))
    expect(fault.code).toBe('bad-file')
    expect(fault.message).toMatch(message)
  })

  const two = { weight_map: { a: 'a.safetensors', b: 'b.safetensors' } }
  test.each<[string, Record<string, string[]>, RegExp]>([
    [
      'a tensor in another shard',
      { 'a.safetensors': ['a', 'b'], 'b.safetensors': [] },
      /"b" in b\.safetensors; expected a\.safetensors, which holds it/,
    ],
    ['a tensor in no shard', { 'a.safetensors': ['a'], 'b.safetensors': [] }, /expected a shard that holds it/],
    [
      'a tensor in two',
      { 'a.safetensors': ['a', 'b'], 'b.safetensors': ['b'] },
      /"b" in b\.safetensors, while a\.safetensors holds one too/,
    ],
    [
      'a tensor that the index does not name',
      { 'a.safetensors': ['a'], 'b.safetensors': ['b', 'c'] },
      /"c" nowhere, while b\.safetensors/,
    ],
  ])('%s', async (_, shards, message) => {
    expect((await faultOf(() => open(two, shards))).message).toMatch(message)
  })

  test('a shard that is missing, cut short, or with a tensor too many', () =>
    inFolder(async (dir) => {
      await writeSharded(dir, five, { maxShardBytes: 12 })
      const path = `${dir}/${shard(2, 4)}`
      const bytes = await readFile(path)
      await writeFile(path, bytes.subarray(0, -1))
      expect((await faultOf(() => openSharded(dir))).message).toMatch(/00002-of-00004\.safetensors: .*cut short/)
      await rm(path)
      expect((await faultOf(() => openSharded(dir))).code).toBe('no-file')
      await rename(`${dir}/${shard(3, 4)}`, path)
      expect((await faultOf(() => openSharded(dir))).code).toBe('no-file')
      expect((await openSafetensors(await fileSource(path))).tensors.has('d')).toBe(true)
    }))
})
