import { readFileSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { faultOf, filesIn, inFolder } from './files.test-util.ts'
import {
  bytesSource,
  dequantize,
  fileSource,
  type GgufContent,
  type GgufEntry,
  type GgufOutput,
  type GgufType,
  ggufChunks,
  openGguf,
  quantize,
  writeGguf,
} from './index.ts'

const fixture = fileURLToPath(new URL('../fixtures/tiny.gguf', import.meta.url))
const tensor = (name: string, given: Partial<GgufOutput> = {}): GgufOutput => ({
  name,
  type: 'F32',
  shape: [2],
  bytes: () => new Uint8Array(8),
  ...given,
})
const content = (metadata: Record<string, GgufEntry>, ...tensors: GgufOutput[]): GgufContent => ({
  metadata: new Map(Object.entries(metadata)),
  tensors,
})
const bytesOf = async (given: GgufContent): Promise<Buffer> => {
  const chunks: Uint8Array[] = []
  for await (const chunk of ggufChunks(given)) chunks.push(chunk)
  return Buffer.concat(chunks)
}

test('a file of gguf-py, read and written again: the same bytes', async () => {
  const bytes = readFileSync(fixture)
  const file = await openGguf(bytesSource(bytes))
  const tensors = [...file.tensors.values()].map(({ name, type, shape }) =>
    tensor(name, { type: type as GgufType, shape, bytes: () => file.read(name) }),
  )
  expect((await bytesOf({ metadata: file.entries, tensors })).equals(bytes)).toBe(true)
})

describe('writeGguf', () => {
  test('what is written is read back, one tensor in memory at a time', () =>
    inFolder(async (dir) => {
      const values = Float32Array.from({ length: 64 }, (_, i) => i - 31)
      let held = 0
      const made = (name: string, type: 'F32' | 'Q8_0'): GgufOutput =>
        tensor(name, {
          type,
          shape: [2, 32],
          bytes: async () => {
            held++
            return quantize(type, values)
          },
        })
      const path = `${dir}/a.gguf`
      const chunks = ggufChunks(content({}, made('a', 'F32'), made('b', 'Q8_0')))
      await chunks.next()
      expect(held).toBe(0)
      await writeGguf(
        path,
        content(
          { 'general.alignment': { type: 'u32', value: 64 }, none: { type: 'string[]', value: [] } },
          made('a', 'F32'),
          made('b', 'Q8_0'),
        ),
      )
      const source = await fileSource(path)
      const file = await openGguf(source)
      expect(file.metadata.get('none')).toEqual([])
      expect(dequantize('F32', await file.read('a'), 64)).toEqual(values)
      expect(await file.read('b')).toEqual(quantize('Q8_0', values))
      expect(source.size % 64).toBe(0)
      await source.close()
    }))

  test('a tensor of the wrong size, or that cannot be made, leaves the old file as it was', () =>
    inFolder(async (dir) => {
      const path = `${dir}/a.gguf`
      await writeFile(path, 'old')
      const short = content({}, tensor('a'), tensor('b', { bytes: () => new Uint8Array(7) }))
      const fault = await faultOf(() => writeGguf(path, short))
      expect(fault.message).toBe('b: given 7 bytes; expected 8, by F32 and [2]')
      await faultOf(() => writeGguf(path, content({}, tensor('a', { bytes: () => Promise.reject(new Error('gone')) }))))
      expect(await readFile(path, 'utf8')).toBe('old')
      expect(await filesIn(dir)).toEqual(['a.gguf'])
    }))

  test.each<[string, GgufContent, RegExp]>([
    ['a name of 64 bytes', content({}, tensor('ä'.repeat(32))), /a name of 64 bytes; expected 1 … 63$/],
    ['no name', content({}, tensor('')), /a name of 0 bytes/],
    ['a name twice', content({}, tensor('a'), tensor('a')), /^tensor "a": given a name twice/],
    ['half a surrogate pair', content({}, tensor('\ud800')), /valid Unicode/],
    [
      'five dimensions',
      content({}, tensor('a', { shape: [1, 1, 1, 1, 2] })),
      /shape \[1,1,1,1,2\]; expected at most 4/,
    ],
    ['a negative dimension', content({}, tensor('a', { shape: [-2] })), /shape \[-2\]/],
    [
      'part of a block',
      content({}, tensor('a', { type: 'Q4_K' })),
      /rows of 2; expected a multiple of 256, the block of Q4_K$/,
    ],
    ['an empty key', content({ '': { type: 'u8', value: 1 } }), /metadata key: given nothing/],
    ['an alignment of 48', content({ 'general.alignment': { type: 'u32', value: 48 } }), /a power of two/],
    ['an alignment of u64', content({ 'general.alignment': { type: 'u64', value: 32 } }), /given u64 32/],
    [
      '256 in a u8',
      content({ k: { type: 'u8', value: 256 } }),
      /^k: given number 256; expected a whole number from 0 to 255, by u8$/,
    ],
    ['-129 in an i8', content({ k: { type: 'i8', value: -129 } }), /from -128 to 127/],
    ['0.5 in a u32', content({ k: { type: 'u32', value: 0.5 } }), /number 0\.5/],
    ['2^64 in a u64', content({ k: { type: 'u64', value: 2n ** 64n } }), /bigint 18446744073709551616/],
    ['a string in an f32', content({ k: { type: 'f32', value: '1' } }), /string "1"; expected a number/],
    ['a number in a string', content({ k: { type: 'string', value: 1 } }), /number 1; expected a string/],
    ['a number in a boolean', content({ k: { type: 'bool[]', value: [true, 1] } }), /number 1; expected a boolean/],
    ['one value in an array', content({ k: { type: 'i32[]', value: 1 } }), /expected an array, by i32\[\]$/],
  ])('%s is refused', async (_, given, message) => {
    expect((await faultOf(() => ggufChunks(given))).message).toMatch(message)
  })
})
