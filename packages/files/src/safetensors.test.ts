import { describe, expect, test } from 'vitest'
import { faultOf, faultOrNone, mutate, seeded, utf8 } from './files.test-util.ts'
import {
  blobSource,
  bytesSource,
  type Dtype,
  dtypeBits,
  fromFloat32,
  type NamedTensor,
  openSafetensors,
  toFloat32,
  writeSafetensors,
} from './index.ts'

/** A file of this header and so many bytes of data, right or wrong. */
const file = (header: string | Uint8Array, data = 0, claimed?: bigint): Uint8Array => {
  const text = typeof header === 'string' ? utf8(header) : header
  const out = new Uint8Array(8 + text.length + data)
  new DataView(out.buffer).setBigUint64(0, claimed ?? BigInt(text.length), true)
  out.set(text, 8)
  return out
}
const open = (bytes: Uint8Array) => openSafetensors(bytesSource(bytes, 'a.safetensors'))
const t = (begin: number, end: number, shape = `[${(end - begin) / 4}]`, dtype = 'F32'): string =>
  `{"dtype":"${dtype}","shape":${shape},"data_offsets":[${begin},${end}]}`

const small = (): Uint8Array =>
  writeSafetensors(
    [
      fromFloat32('b', [2], Float32Array.of(1, -2)),
      fromFloat32('ä', [], Float32Array.of(0.5)),
      { name: 'h', dtype: 'U8', shape: [3], bytes: Uint8Array.of(7, 8, 9) },
    ],
    { format: 'pt' },
  )

/** Everything a file holds, each tensor read. */
const readAll = async (bytes: Uint8Array): Promise<NamedTensor[]> => {
  const opened = await open(bytes)
  return Promise.all([...opened.tensors.keys()].map((name) => opened.read(name)))
}

describe('round trip', () => {
  test('every dtype comes back, wide ones first, names in the order of their UTF-8', async () => {
    const tensors = (Object.keys(dtypeBits) as Dtype[]).flatMap((dtype) =>
      ['\u{1f600}', '\uffee', 'z', '10', '9'].map((name) => ({
        name: `${dtype}.${name}`,
        dtype,
        shape: [4, 2],
        bytes: Uint8Array.from({ length: dtypeBits[dtype] }, (_, i) => i),
      })),
    )
    const bytes = writeSafetensors(tensors, { format: 'pt', ключ: 'значение' })
    const opened = await open(bytes)
    expect([...opened.metadata]).toEqual([
      ['format', 'pt'],
      ['ключ', 'значение'],
    ])
    const read = await readAll(bytes)
    expect(read).toHaveLength(tensors.length)
    for (const tensor of tensors) expect(read.find(({ name }) => name === tensor.name)).toEqual(tensor)
    expect(read.slice(0, 5).map(({ name }) => name)).toEqual(
      ['10', '9', 'z', '\uffee', '\u{1f600}'].map((name) => `U64.${name}`),
    )
    expect(writeSafetensors(read, { format: 'pt', ключ: 'значение' })).toEqual(bytes)
  })

  test('the bytes are those of the Python library', () => {
    const text = '{"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
    const padded = text.padEnd(Math.ceil(text.length / 8) * 8)
    const expected = file(padded, 4)
    expected.set([0, 0, 128, 63], 8 + padded.length)
    expect(writeSafetensors([fromFloat32('a', [1], Float32Array.of(1))], { format: 'pt' })).toEqual(expected)
  })

  test('names that are numbers keep their place in the header', () => {
    const header = new TextDecoder().decode(
      writeSafetensors(['b', '1', 'a'].map((name) => fromFloat32(name, [0], new Float32Array(0)))).subarray(8),
    )
    expect(header.match(/"(\w)":/g)).toEqual(['"1":', '"a":', '"b":'])
  })

  test('a blob reads as bytes do', async () => {
    const opened = await openSafetensors(blobSource(new Blob([small() as Uint8Array<ArrayBuffer>])))
    expect([...toFloat32(await opened.read('b'))]).toEqual([1, -2])
  })

  test('a Buffer at an odd place reads too', async () => {
    const bytes = Buffer.concat([Buffer.from([1]), small()]).subarray(1)
    const opened = await open(bytes)
    expect([...toFloat32(await opened.read('b'))]).toEqual([1, -2])
  })

  test('a name that the file lacks', async () => {
    const opened = await open(small())
    expect((await faultOf(() => opened.read('nope'))).code).toBe('no-tensor')
    expect((await faultOf(() => opened.read('__proto__'))).code).toBe('no-tensor')
  })
})

describe('what is accepted', () => {
  test.each([
    ['no tensors', file('{}'), 0],
    ['no tensors and metadata null', file('{"__metadata__":null}'), 0],
    ['R5: white space before and behind the header', file(` \n\t\r{"a":${t(0, 4)}} \n `, 4), 1],
    ['R13: rank 0', file(`{"a":${t(0, 4, '[]')}}`, 4), 1],
    ['R13: a size of zero', file(`{"a":${t(0, 0, '[3,0]')}}`), 1],
    ['R13: two of size zero at one place', file(`{"a":${t(0, 0)},"b":${t(0, 0)},"c":${t(0, 4)}}`, 4), 3],
    ['R8: any order in the header', file(`{"a":${t(4, 8)},"b":${t(0, 4)}}`, 8), 2],
    ['R10: four numbers of 6 bits', file(`{"a":${t(0, 3, '[4]', 'F6_E2M3')}}`, 3), 1],
    ['a tensor named __proto__', file(`{"__proto__":${t(0, 4)},"constructor":${t(4, 8)}}`, 8), 2],
    ['an empty name', file(`{"":${t(0, 4)}}`, 4), 1],
  ])('%s', async (_, bytes, count) => {
    expect(await readAll(bytes)).toHaveLength(count)
    expect(({} as Record<string, unknown>).dtype).toBeUndefined()
  })

  test('R14: NaN and infinities', async () => {
    const values = Float32Array.of(Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, -0)
    const [read] = await readAll(writeSafetensors([fromFloat32('a', [4], values)]))
    expect(toFloat32(read!)).toEqual(values)
  })
})

const huge = '18446744073709551614'
describe('what is refused', () => {
  test.each<[string, Uint8Array]>([
    ['R1: no bytes', new Uint8Array(0)],
    ['R1: seven bytes', new Uint8Array(7)],
    ['R2: a header of over 100 MB', file('{}', 0, 100_000_001n)],
    ['R2: a header of 2^64 - 1', file('{}', 0, 2n ** 64n - 1n)],
    ['R3: a header beyond the file', file('{}', 0, 3n)],
    ['R4: not UTF-8', file(Uint8Array.of(0x7b, 0x22, 0xff, 0x22, 0x7d))],
    ['R4: a byte-order mark', file('\ufeff{}')],
    ['R5: an empty header', file('')],
    ['R5: no JSON', file('{"a":')],
    ['R5: something behind the JSON', file('{}{}')],
    ['R5: zero bytes behind the JSON', file('{}\0\0')],
    ['R5: an array', file('[]')],
    ['R5: null', file('null')],
    ['R5: nesting', file(`{"a":${'['.repeat(100_000)}${']'.repeat(100_000)}}`)],
    ['R6: metadata with a number', file('{"__metadata__":{"a":1}}')],
    ['R6: metadata with an object', file('{"__metadata__":{"a":{}}}')],
    ['R6: metadata that is an array', file('{"__metadata__":["a"]}')],
    ['R6: metadata that is a string', file('{"__metadata__":"pt"}')],
    ['R7: an unknown dtype', file(`{"a":${t(0, 4, '[1]', 'F33')}}`, 4)],
    ['R7: a dtype that every object has', file(`{"a":${t(0, 4, '[1]', 'toString')}}`, 4)],
    ['R7: a dtype that is a number', file('{"a":{"dtype":1,"shape":[1],"data_offsets":[0,4]}}', 4)],
    ['R7: no dtype', file('{"a":{"shape":[1],"data_offsets":[0,4]}}', 4)],
    ['R7: no shape', file('{"a":{"dtype":"F32","data_offsets":[0,4]}}', 4)],
    ['R7: no offsets', file('{"a":{"dtype":"F32","shape":[1]}}', 4)],
    ['R7: a tensor that is null', file('{"a":null}')],
    ['R7: a tensor that is a string', file('{"a":"F32"}')],
    ['R7: a shape that is a number', file(`{"a":${t(0, 4, '1')}}`, 4)],
    ['R7: a negative size', file(`{"a":${t(0, 4, '[-1,-1]')}}`, 4)],
    ['R7: half a size', file(`{"a":${t(0, 4, '[0.5,2]')}}`, 4)],
    ['R7: a size with a point', file(`{"a":${t(0, 4, '[1.0]')}}`, 4)],
    ['R7: a size with an exponent', file(`{"a":${t(0, 40, '[1e1]')}}`, 40)],
    ['R7: a size that is a string', file(`{"a":${t(0, 4, '["1"]')}}`, 4)],
    ['R7: one offset', file('{"a":{"dtype":"F32","shape":[1],"data_offsets":[4]}}', 4)],
    ['R7: three offsets', file('{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4,8]}}', 8)],
    ['R7: a negative offset', file('{"a":{"dtype":"F32","shape":[1],"data_offsets":[-4,0]}}', 0)],
    ['R8: the first not at 0', file(`{"a":${t(4, 8)}}`, 8)],
    ['R8: a hole', file(`{"a":${t(0, 4)},"b":${t(8, 12)}}`, 12)],
    ['R8: an overlap', file(`{"a":${t(0, 8)},"b":${t(4, 12)}}`, 12)],
    ['R8: two at one place', file(`{"a":${t(0, 4)},"b":${t(0, 4)}}`, 4)],
    ['R8: an end before the begin', file(`{"a":${t(0, 8)},"b":${t(8, 4, '[1]')}}`, 8)],
    ['R9: too many numbers', file(`{"a":${t(0, 4, '[9007199254740991,9007199254740991]')}}`, 4)],
    ['R9: too many numbers, times zero', file(`{"a":${t(0, 0, '[9007199254740991,9007199254740991,0]')}}`)],
    ['R9: too many bits', file(`{"a":${t(0, 4, '[9007199254740991]')}}`, 4)],
    ['R10: half a byte', file(`{"a":${t(0, 1, '[1]', 'F4')}}`, 1)],
    ['R11: too few bytes for the shape', file(`{"a":${t(0, 4, '[2]')}}`, 4)],
    ['R11: too many bytes for the shape', file(`{"a":${t(0, 8, '[1]')}}`, 8)],
    ['R11: bytes for a size of zero', file(`{"a":${t(0, 4, '[0]')}}`, 4)],
    ['R12: bytes behind the last tensor', file(`{"a":${t(0, 4)}}`, 5)],
    ['R12: bytes behind an empty header', file('{}', 1)],
    ['R12: a tensor beyond the file', file(`{"a":${t(0, 4)}}`, 3)],
    ['R16: a tensor twice', file(`{"a":${t(0, 4)},"a":${t(0, 4)}}`, 4)],
    ['R16: a tensor twice, once escaped', file(`{"a":${t(0, 4)},"\\u0061":${t(0, 4)}}`, 4)],
    ['R16: __proto__ twice', file(`{"__proto__":${t(0, 4)},"__proto__":${t(0, 4)}}`, 4)],
    ['R16: a key of a tensor twice', file('{"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}}', 4)],
    ['R16: a key of the metadata twice', file('{"__metadata__":{"a":"1","a":"2"}}')],
    ['a tensor __proto__ that fits no rule', file('{"__proto__":{"x":1}}')],
    ['offsets over 2^53', file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[${huge},${huge}]}}`, 4)],
    [
      'offsets just over 2^53',
      file('{"a":{"dtype":"U8","shape":[0],"data_offsets":[9007199254740993,9007199254740993]}}'),
    ],
    ['a size over 2^53', file(`{"a":${t(0, 0, `[${huge},0]`)}}`)],
    ['half a surrogate pair as a name', file(`{"\\ud800":${t(0, 4)}}`, 4)],
  ])('%s', async (_, bytes) => {
    const fault = await faultOf(() => open(bytes))
    expect(fault.code).toBe('bad-file')
    expect(fault.message).toMatch(/^a\.safetensors/)
    expect(fault.message.length).toBeLessThan(600)
  })

  test('many tensors that share one place (a bomb of claims)', async () => {
    const names = Array.from({ length: 20_000 }, (_, i) => `"${i}":${t(0, 4)}`)
    expect((await faultOf(() => open(file(`{${names}}`, 4)))).code).toBe('bad-file')
  })

  test('a file that is cut at any byte', async () => {
    const bytes = small()
    for (let length = 0; length < bytes.length; length++)
      expect((await faultOf(() => open(bytes.slice(0, length)))).code).toBe('bad-file')
  })

  test('2,000 random changes: a result or a GraftError', async () => {
    const bytes = small()
    let refused = 0
    for (let seed = 0; seed < 2_000; seed++) {
      const changed = mutate(bytes, seeded(seed))
      const fault = await faultOrNone(async () => {
        for (const { name, dtype, shape, bytes } of await readAll(changed))
          expect(bytes.byteLength, name).toBe((shape.reduce((a, b) => a * b, 1) * dtypeBits[dtype]) / 8)
      }).catch((cause: Error) => {
        throw new Error(`seed ${seed}`, { cause })
      })
      if (fault) refused++
    }
    expect(refused).toBeGreaterThan(1_000)
    expect(refused).toBeLessThan(2_000)
  })
})

describe('what is not written', () => {
  const f32 = (name: string): NamedTensor => fromFloat32(name, [1], Float32Array.of(1))
  test.each<[string, NamedTensor[]]>([
    ['a name twice', [f32('a'), f32('a')]],
    ['the name of the metadata', [f32('__metadata__')]],
    ['half a surrogate pair', [f32('\ud800')]],
    ['bytes that do not fit the shape', [fromFloat32('a', [2], Float32Array.of(1))]],
    ['half a byte', [{ name: 'a', dtype: 'F4', shape: [1], bytes: new Uint8Array(1) }]],
  ])('%s', async (_, tensors) => {
    await faultOf(() => writeSafetensors(tensors))
  })

  test('__proto__ is a name like others', async () => {
    expect((await readAll(writeSafetensors([f32('__proto__')], { format: 'pt' })))[0]!.name).toBe('__proto__')
  })
})
