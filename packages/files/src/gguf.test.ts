import { describe, expect, test } from 'vitest'
import { faultOf, faultOrNone, mutate, seeded, utf8 } from './files.test-util.ts'
import { bytesSource, dequantize, type Gguf, openGguf } from './index.ts'

// A small writer: pieces of bytes, put one behind the other.
type Piece = Uint8Array
const join = (...pieces: readonly Piece[]): Uint8Array => Uint8Array.from(pieces.flatMap((piece) => [...piece]))
const number = (bytes: number, set: (view: DataView) => void): Piece => {
  const out = new Uint8Array(bytes)
  set(new DataView(out.buffer))
  return out
}
const u8 = (v: number): Piece => Uint8Array.of(v)
const u32 = (v: number): Piece => number(4, (view) => view.setUint32(0, v, true))
const u64 = (v: bigint | number): Piece => number(8, (view) => view.setBigUint64(0, BigInt(v), true))
const f32 = (v: number): Piece => number(4, (view) => view.setFloat32(0, v, true))
const f64 = (v: number): Piece => number(8, (view) => view.setFloat64(0, v, true))
const str = (v: string | Uint8Array): Piece => {
  const bytes = typeof v === 'string' ? utf8(v) : v
  return join(u64(bytes.length), bytes)
}
const kv = (key: string, type: number, ...value: readonly Piece[]): Piece => join(str(key), u32(type), ...value)
const array = (key: string, type: number, count: bigint | number, ...items: readonly Piece[]): Piece =>
  kv(key, 9, u32(type), u64(count), ...items)

interface Info {
  readonly name?: string
  /** As GGUF has them: the contiguous one first. */
  readonly dims?: readonly (bigint | number)[]
  readonly rank?: number
  readonly type?: number
  readonly offset?: bigint | number
}
const info = ({ name = 'a', dims = [2], rank = dims.length, type = 0, offset = 0 }: Info): Piece =>
  join(str(name), u32(rank), ...dims.map(u64), u32(type), u64(offset))

interface Parts {
  readonly magic?: string
  readonly version?: number
  readonly tensors?: bigint | number
  readonly keys?: bigint | number
  readonly kvs?: readonly Piece[]
  readonly infos?: readonly Piece[]
  readonly align?: number
  readonly data?: Piece
}
const gguf = ({
  magic = 'GGUF',
  version = 3,
  kvs = [],
  infos = [],
  tensors = infos.length,
  keys = kvs.length,
  align = 32,
  data = new Uint8Array(0),
}: Parts): Uint8Array => {
  const header = join(utf8(magic), u32(version), u64(tensors), u64(keys), ...kvs, ...infos)
  return join(header, new Uint8Array(infos.length ? (align - (header.length % align)) % align : 0), data)
}
const open = (bytes: Uint8Array): Promise<Gguf> => openGguf(bytesSource(bytes, 'a.gguf'))

const half = (bits: number): Piece => Uint8Array.of(bits & 255, bits >> 8)
const q8Block = join(
  half(0x3800),
  Uint8Array.from({ length: 32 }, (_, i) => i - 16),
) // d = 0.5
const q41Block = join(
  half(0x4000),
  half(0xbc00),
  Uint8Array.from({ length: 16 }, (_, i) => i | ((15 - i) << 4)),
) // d = 2, m = -1
const pad32 = (bytes: Uint8Array): Uint8Array => join(bytes, new Uint8Array((32 - (bytes.length % 32)) % 32))
const good = (version = 3): Uint8Array =>
  gguf({
    version,
    kvs: [
      kv('general.name', 8, str('zwölf')),
      kv('u8', 0, u8(255)),
      kv('i8', 1, u8(255)),
      kv('u16', 2, Uint8Array.of(255, 255)),
      kv('i16', 3, Uint8Array.of(254, 255)),
      kv('u32', 4, u32(0xffffffff)),
      kv('i32', 5, u32(0xffffffff)),
      kv('f32', 6, f32(0.5)),
      kv('yes', 7, u8(1)),
      kv('no', 7, u8(0)),
      kv('u64', 10, u64(2n ** 40n)),
      kv('i64', 11, u64(2n ** 64n - 5n)),
      kv('big', 10, u64(2n ** 64n - 1n)),
      kv('f64', 12, f64(0.1)),
      array('tokens', 8, 3, str('a'), str('\ufeffb'), str('')),
      array('types', 5, 2, u32(1), u32(0xffffffff)),
      array('flags', 7, 2, u8(1), u8(0)),
      array('none', 8, 0),
    ],
    infos: [
      info({ name: 'f', dims: [3, 2] }),
      info({ name: 'q8', dims: [32], type: 8, offset: 32 }),
      info({ name: 'q41', dims: [32, 1], type: 3, offset: 96 }),
    ],
    data: join(pad32(join(...[1, 2, 3, 4, 5, 6].map(f32))), pad32(q8Block), q41Block),
  })

describe('good files', () => {
  test.each([2, 3])('version %i: every kind of value', async (version) => {
    const file = await open(good(version))
    expect(file.version).toBe(version)
    expect(Object.fromEntries(file.metadata)).toEqual({
      'general.name': 'zwölf',
      u8: 255,
      i8: -1,
      u16: 65535,
      i16: -2,
      u32: 4294967295,
      i32: -1,
      f32: 0.5,
      yes: true,
      no: false,
      u64: 2 ** 40,
      i64: -5,
      big: 2n ** 64n - 1n,
      f64: 0.1,
      tokens: ['a', '\ufeffb', ''],
      types: [1, -1],
      flags: [true, false],
      none: [],
    })
  })

  test('F32, Q8_0 and Q4_1 tensors', async () => {
    const file = await open(good())
    expect([...file.tensors.values()].map(({ name, type, shape, bytes }) => [name, type, shape, bytes])).toEqual([
      ['f', 'F32', [2, 3], 24],
      ['q8', 'Q8_0', [32], 34],
      ['q41', 'Q4_1', [1, 32], 20],
    ])
    expect([...dequantize('F32', await file.read('f'), 6)]).toEqual([1, 2, 3, 4, 5, 6])
    expect([...dequantize('Q8_0', await file.read('q8'), 32)]).toEqual(
      Array.from({ length: 32 }, (_, i) => (i - 16) / 2),
    )
    expect([...dequantize('Q4_1', await file.read('q41'), 32)]).toEqual(
      Array.from({ length: 32 }, (_, i) => 2 * (i < 16 ? i : 31 - i) - 1),
    )
  })

  test('a header larger than the window that is read at once', async () => {
    const tokens = Array.from({ length: 60_000 }, (_, i) => `token number ${i} with a long name`)
    const items = new Uint8Array(tokens.reduce((n, token) => n + 8 + token.length, 0))
    let at = 0
    for (const token of tokens) {
      items[at] = token.length
      items.set(utf8(token), at + 8)
      at += 8 + token.length
    }
    const head = gguf({ keys: 2, kvs: [array('tokens', 8, tokens.length)] })
    const bytes = new Uint8Array(head.length + items.length + 15)
    bytes.set(head)
    bytes.set(items, head.length)
    bytes.set(kv('k', 0, u8(7)), head.length + items.length)
    const { metadata } = await open(bytes)
    expect(metadata.get('tokens')).toEqual(tokens)
    expect(metadata.get('k')).toBe(7)
  })

  test.each<[string, Parts]>([
    ['empty', {}],
    ['no tensors', { kvs: [kv('k', 0, u8(1))] }],
    [
      'an alignment of 64',
      { kvs: [kv('general.alignment', 4, u32(64))], infos: [info({})], align: 64, data: new Uint8Array(8) },
    ],
    [
      'an alignment of 1',
      { kvs: [kv('general.alignment', 4, u32(1))], infos: [info({})], align: 1, data: new Uint8Array(8) },
    ],
    ['rank 0', { infos: [info({ dims: [] })], data: new Uint8Array(4) }],
    ['rank 4', { infos: [info({ dims: [1, 2, 3, 4] })], data: new Uint8Array(96) }],
    ['a size of zero', { infos: [info({ dims: [0, 5] })] }],
    ['a name of 63 bytes', { infos: [info({ name: 'n'.repeat(63) })], data: new Uint8Array(8) }],
    ['__proto__ as a key', { kvs: [kv('__proto__', 0, u8(1))] }],
    ['a string that is not UTF-8', { kvs: [kv('k', 8, str(Uint8Array.of(0xff, 0xfe)))] }],
  ])('%s', async (_, parts) => {
    const file = await open(gguf(parts))
    for (const name of file.tensors.keys()) await file.read(name)
  })
})

const one = (info_: Info, data = 8): Parts => ({ infos: [info(info_)], data: new Uint8Array(data) })
const claim = (key: string, type: number, count: bigint | number): Parts => ({ kvs: [array(key, type, count, u64(0))] })
// The kinds of llama.cpp's test-gguf.cpp, then those of the advisories since.
describe('bad files', () => {
  test.each<[string, Parts]>([
    ['HEADER_BAD_MAGIC', { magic: 'GGML' }],
    ['HEADER_BAD_VERSION_0', { version: 0 }],
    ['HEADER_BAD_VERSION_1', { version: 1 }],
    ['HEADER_BAD_VERSION_FUTURE', { version: 4 }],
    ['HEADER_BIG_ENDIAN', { version: 0x03000000 }],
    ['HEADER_BAD_N_TENSORS', { tensors: 2n ** 64n - 1n }],
    ['HEADER_BAD_N_TENSORS below 2^53', { tensors: 2n ** 52n }],
    ['HEADER_BAD_N_TENSORS beyond the file', { tensors: 900_000 }],
    ['HEADER_BAD_N_KV', { keys: 2n ** 64n - 1n }],
    ['HEADER_BAD_N_KV below 2^53', { keys: 2n ** 52n }],
    ['HEADER_BAD_N_KV beyond the file', { keys: 90_000 }],
    ['KV_BAD_KEY_SIZE', { kvs: [join(u64(2n ** 64n - 1n), u8(65), u32(0), u8(1))] }],
    ['KV_BAD_KEY_SIZE beyond the file', { kvs: [join(u64(9_000_000), u8(65), u32(0), u8(1))] }],
    ['KV_EMPTY_KEY', { kvs: [kv('', 0, u8(1), u8(0), u8(0))] }],
    ['KV_BAD_TYPE 13', { kvs: [kv('k', 13, u64(0))] }],
    ['KV_BAD_TYPE -1', { kvs: [kv('k', 0xffffffff, u64(0))] }],
    ['KV_BAD_VALUE_SIZE of a string', { kvs: [kv('k', 8, u64(2n ** 63n), u64(0))] }],
    ['KV_BAD_VALUE_SIZE of a string beyond the file', { kvs: [kv('k', 8, u64(1000), u64(0))] }],
    ['KV_BAD_ARRAY_SIZE 2^63 (hung gguf-py)', claim('k', 0, 2n ** 63n)],
    ['KV_BAD_ARRAY_SIZE 2^61 * 8 wraps to 0', claim('k', 10, 2n ** 61n)],
    ['KV_BAD_ARRAY_SIZE beyond the file', claim('k', 0, 500_000)],
    ['KV_BAD_ARRAY_SIZE of strings beyond the file', claim('k', 8, 500_000)],
    ['KV_BAD_ARRAY_TYPE', claim('k', 77, 1)],
    ['KV_ARRAY_OF_ARRAYS', claim('k', 9, 1)],
    ['KV_DUPLICATE_KEY', { kvs: [kv('k', 0, u8(1)), kv('k', 4, u32(2))] }],
    ['KV_BAD_ALIGN 0', { kvs: [kv('general.alignment', 4, u32(0))], infos: [info({})], data: new Uint8Array(8) }],
    ['KV_BAD_ALIGN 13', { kvs: [kv('general.alignment', 4, u32(13))], infos: [info({})], data: new Uint8Array(8) }],
    ['KV_BAD_ALIGN 2^31', { kvs: [kv('general.alignment', 4, u32(2 ** 31))] }],
    ['KV_BAD_ALIGN of type string', { kvs: [kv('general.alignment', 8, str('32'))] }],
    ['KV_BAD_ALIGN of type u64', { kvs: [kv('general.alignment', 10, u64(32))] }],
    ['KV_BAD_ALIGN of type array', { kvs: [array('general.alignment', 4, 1, u32(32))] }],
    ['TENSORS_BAD_NAME_SIZE', one({ name: 'n'.repeat(64) })],
    ['TENSORS_BAD_NAME_SIZE in bytes', one({ name: 'ä'.repeat(32) })],
    ['TENSORS_EMPTY_NAME', one({ name: '' })],
    ['TENSORS_BAD_N_DIMS 5', one({ dims: [1, 1, 1, 1, 1] })],
    ['TENSORS_BAD_N_DIMS 2^32 - 1', one({ rank: 0xffffffff })],
    ['TENSORS_BAD_SHAPE negative', one({ dims: [2n ** 64n - 1n] })],
    ['TENSORS_BAD_SHAPE 2^63', one({ dims: [2n ** 63n, 2] })],
    ['TENSORS_NE_TOO_BIG', one({ dims: [2 ** 31, 2 ** 31, 2 ** 31] })],
    ['TENSORS_NE_TOO_BIG, times zero', one({ dims: [2 ** 32, 2 ** 32, 0] })],
    ['TENSORS_NBYTES_TOO_BIG', one({ dims: [2 ** 26, 2 ** 26] })],
    ['TENSORS_BAD_TYPE 4', one({ type: 4 })],
    ['TENSORS_BAD_TYPE -1', one({ type: 0xffffffff })],
    ['TENSORS_BLOCK_MISMATCH', one({ type: 3, dims: [33] }, 64)],
    ['TENSORS_BLOCK_MISMATCH of rank 0', one({ type: 8, dims: [] }, 64)],
    ['TENSORS_BAD_OFFSET', one({ offset: 1 }, 64)],
    ['TENSORS_BAD_OFFSET 2^63', one({ offset: 2n ** 63n }, 64)],
    ['TENSORS_BAD_OFFSET sum wraps', one({ offset: 2n ** 64n - 32n }, 64)],
    ['TENSORS_BAD_OFFSET hole', { infos: [info({}), info({ name: 'b', offset: 64 })], data: new Uint8Array(72) }],
    ['TENSORS_BAD_OFFSET overlap', { infos: [info({}), info({ name: 'b', offset: 0 })], data: new Uint8Array(72) }],
    ['TENSORS_DUPLICATE_NAME', { infos: [info({}), info({ offset: 32 })], data: new Uint8Array(64) }],
    ['DATA_NOT_ENOUGH_DATA', one({}, 7)],
    ['DATA_BEYOND_THE_FILE', one({ dims: [2 ** 20] })],
    ['DATA_BAD_ALIGN', { ...one({}, 0), align: 1 }],
    [
      'DATA_INCONSISTENT_ALIGN',
      {
        kvs: [kv('general.alignment', 4, u32(64))],
        infos: [info({}), info({ name: 'b', offset: 32 })],
        align: 64,
        data: new Uint8Array(128),
      },
    ],
  ])('%s', async (_, parts) => {
    const fault = await faultOf(() => open(gguf(parts)))
    expect(fault.code).toBe('bad-file')
    expect(fault.message).toMatch(/^a\.gguf/)
    expect(fault.message.length).toBeLessThan(600)
  })

  test('a type that is known but not read: the others of the file are', async () => {
    const infos = [info({ name: 'k', dims: [256], type: 16 }), info({ name: 'f', offset: 96 })]
    const file = await open(gguf({ infos, data: new Uint8Array(104) }))
    const fault = await faultOf(() => file.read('k'))
    expect(fault.code).toBe('unsupported-type')
    expect(fault.message).toMatch(/^a\.gguf: k: given IQ2_XXS; expected F32, F16, .*Q6_K$/)
    expect((await faultOf(() => file.read('nope'))).code).toBe('no-tensor')
    expect(await file.read('f')).toHaveLength(8)
  })

  test('a file that is cut at any byte', async () => {
    const bytes = good()
    for (let length = 0; length < bytes.length; length++)
      expect((await faultOf(() => open(bytes.slice(0, length)))).code, `${length} bytes`).toBe('bad-file')
  })

  test('2,000 random changes: a result or a GraftError', async () => {
    const bytes = good()
    let refused = 0
    for (let seed = 0; seed < 2_000; seed++) {
      const changed = mutate(bytes, seeded(seed))
      const fault = await faultOrNone(async () => {
        const file = await open(changed)
        for (const { name, bytes } of file.tensors.values()) expect(await file.read(name)).toHaveLength(bytes)
      }).catch((cause: Error) => {
        throw new Error(`seed ${seed}`, { cause })
      })
      if (fault) refused++
    }
    expect(refused).toBeGreaterThan(500)
    expect(refused).toBeLessThan(2_000)
  })
})

describe('dequantize', () => {
  const ones = (bytes: number): Uint8Array => new Uint8Array(bytes).fill(1)
  test('too few bytes', async () => {
    expect((await faultOf(() => dequantize('Q4_1', ones(19), 32))).code).toBe('bad-tensor')
    await faultOf(() => dequantize('F32', ones(7), 2))
    await faultOf(() => dequantize('F32', ones(8), Number.NaN))
  })

  test('Q4_0, F16, BF16, and part of a block', () => {
    const q4 = join(
      half(0x3c00),
      Uint8Array.from({ length: 16 }, (_, i) => i | (i << 4)),
    )
    expect([...dequantize('Q4_0', q4, 32)]).toEqual(Array.from({ length: 32 }, (_, i) => (i % 16) - 8))
    expect([...dequantize('Q4_0', q4, 3)]).toEqual([-8, -7, -6])
    expect([...dequantize('F16', join(half(0x3555), half(0xfc00)), 2)]).toEqual([
      0.333251953125,
      Number.NEGATIVE_INFINITY,
    ])
    expect([...dequantize('BF16', join(half(0x3fc0), half(0xc000)), 2)]).toEqual([1.5, -2])
  })

  test('F32 bytes of a Buffer at an odd place', () => {
    const bytes = Buffer.concat([Buffer.from([0]), join(f32(1), f32(2))]).subarray(1)
    expect([...dequantize('F32', bytes, 2)]).toEqual([1, 2])
  })
})
