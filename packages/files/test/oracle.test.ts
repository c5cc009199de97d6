import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { faultOrNone } from '../src/files.test-util.ts'
import {
  bytesSource,
  dequantize,
  type GgufType,
  ggufValue,
  type Json,
  openGguf,
  openSafetensors,
  pythonJson,
  writeSafetensors,
} from '../src/index.ts'

// Made by tooling/oracle/safetensors_fixture.py and gguf_fixture.py with the Python libraries.
const fixture = (name: string): string => fileURLToPath(new URL(`../fixtures/${name}`, import.meta.url))
const json = <T>(name: string): T => JSON.parse(readFileSync(fixture(name), 'utf8')) as T

describe('safetensors of Python', () => {
  for (const name of ['python.safetensors', 'python-bare.safetensors'])
    test(`${name}: written again, the same bytes`, async () => {
      const bytes = readFileSync(fixture(name))
      const file = await openSafetensors(bytesSource(bytes))
      const names = [...file.tensors.keys()]
      // In another order than they came in.
      const tensors = await Promise.all(names.toReversed().map((n) => file.read(n)))
      const metadata = file.metadata.size > 0 ? Object.fromEntries(file.metadata) : undefined
      expect(Buffer.from(writeSafetensors(tensors, metadata)).equals(bytes)).toBe(true)
    })

  const { cases } = json<{ cases: Record<string, { hex: string; verdict: string }> }>('safetensors-verdicts.json')
  // Where the Python library lets the last of two win, or has numbers that JavaScript has not.
  const stricter = ['tensor twice', 'metadata key twice', 'zero-sized beyond 2^53']
  for (const [name, { hex, verdict }] of Object.entries(cases)) {
    const reads = verdict === 'read' && !stricter.includes(name)
    test(`${name}: ${reads ? 'read' : 'refused'}${stricter.includes(name) ? ', though Python reads it' : ''}`, async () => {
      const fault = await faultOrNone(() => openSafetensors(bytesSource(Buffer.from(hex, 'hex'), 'a.safetensors')))
      expect(fault?.message ?? 'read').toMatch(reads ? /^read$/ : /^a\.safetensors.*: given .*; expected ./s)
    })
  }
  test('the cases cover all rules', () => {
    expect(Object.keys(cases).length).toBeGreaterThan(60)
  })
})

test('json.dumps(indent=2, sort_keys=True), the same text', () => {
  const { value, text } = json<{ value: string; text: string }>('json-dumps.json')
  expect(pythonJson(JSON.parse(value) as Json)).toBe(text)
})

describe('GGUF of gguf-py', () => {
  const { bits } = json<{ bits: Record<GgufType, number[]> }>('tiny-gguf.json')
  const open = () => openGguf(bytesSource(readFileSync(fixture('tiny.gguf')), 'tiny.gguf'))

  test('metadata of every type', async () => {
    const { metadata, version } = await open()
    expect(version).toBe(3)
    expect(Object.fromEntries(metadata)).toMatchObject({
      'general.architecture': 'llama',
      'a.u8': 200,
      'a.i8': -5,
      'a.u16': 60000,
      'a.i16': -300,
      'a.u32': 4000000000,
      'a.i32': -70000,
      'a.f32': Math.fround(0.1),
      'a.bool': true,
      'a.string': 'Zoë 😀',
      'a.u64': 2 ** 53 - 1,
      'a.u64.big': 2n ** 64n - 1n,
      'a.i64': -(2 ** 53) + 1,
      'a.f64': 1e-300,
      'a.strings': ['', 'a b', '\ufeffmark', '日本'],
      'a.numbers': [3, 1, 2],
      'a.bools': [true, false],
    })
  })

  test('metadata by the type it must have', async () => {
    const { metadata } = await open()
    expect(ggufValue(metadata, 'a.strings', 'strings', 'f')).toHaveLength(4)
    expect(ggufValue(metadata, 'a.u8', 'number', 'f')).toBe(200)
    expect(ggufValue(metadata, 'a.bool', 'boolean', 'f')).toBe(true)
    expect(ggufValue(metadata, 'nothing', 'string', 'f')).toBeUndefined()
    const message = (key: string, kind: 'string' | 'numbers' | 'number') =>
      faultOrNone(() => ggufValue(metadata, key, kind, 'f')).then((fault) => fault?.message)
    expect(await message('a.u8', 'string')).toBe('f: a.u8: given number 200; expected a string')
    expect(await message('a.strings', 'numbers')).toBe('f: a.strings: given an array; expected an array of numbers')
    expect(await message('a.u64.big', 'number')).toMatch('given bigint 18446744073709551615; expected a number')
  })

  test('shapes are PyTorch’s', async () => {
    const { tensors, read } = await open()
    expect(tensors.get('q4_1')).toMatchObject({ type: 'Q4_1', shape: [3, 64], bytes: 120 })
    expect(tensors.get('three')).toMatchObject({ type: 'F32', shape: [2, 3, 4] })
    const three = dequantize('F32', await read('three'), 24)
    expect([...three]).toEqual(Array.from({ length: 24 }, (_, i) => i))
  })

  for (const [type, expected] of Object.entries(bits) as [GgufType, number[]][])
    test(`${type}: the same numbers, bit for bit`, async () => {
      const { read } = await open()
      const values = dequantize(type, await read(type.toLowerCase()), 192)
      expect([...new Uint32Array(values.buffer, values.byteOffset, 192)]).toEqual(expected)
    })

  test('a K-quant of zeros', async () => {
    const { tensors, read } = await open()
    expect(tensors.get('q6_k')?.shape).toEqual([2, 256])
    expect(dequantize('Q6_K', await read('q6_k'), 512).every((value) => value === 0)).toBe(true)
  })
})
