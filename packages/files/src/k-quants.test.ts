import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { bytesSource, dequantize, type GgufType, openSafetensors, repack, toFloat32 } from './index.ts'

// Made by tooling/oracle/gguf_kquants.py with gguf-py.
const fixture = fileURLToPath(new URL('../fixtures/k-quants.safetensors', import.meta.url))

describe('K-quants, Q5_0 and Q5_1: the numbers of gguf-py, bit for bit', () => {
  const types: GgufType[] = ['Q5_0', 'Q5_1', 'Q2_K', 'Q3_K', 'Q4_K', 'Q5_K', 'Q6_K']
  test.each(types)('%s', async (type) => {
    const file = await openSafetensors(bytesSource(readFileSync(fixture)))
    const expected = toFloat32(await file.read(`${type}.values`))
    const { bytes } = await file.read(`${type}.bytes`)
    const values = dequantize(type, bytes, expected.length)
    // -0 and 0 are told apart.
    expect([...new Uint32Array(values.buffer, values.byteOffset, values.length)]).toEqual([
      ...new Uint32Array(expected.slice().buffer),
    ])
    expect(new Set(expected).size).toBeGreaterThan(20)
    expect([...dequantize(type, bytes, 5)]).toEqual([...expected.subarray(0, 5)])
  })
})

describe('repacked for the kernels', () => {
  const stored = async (type: string): Promise<Uint8Array> =>
    (await (await openSafetensors(bytesSource(readFileSync(fixture)))).read(`${type}.bytes`)).bytes

  test('Q5_0 becomes Q8_0 with the same numbers', async () => {
    const bytes = await stored('Q5_0')
    const made = repack('Q5_0', bytes, 96)
    expect(made.type).toBe('Q8_0')
    expect(dequantize('Q8_0', made.bytes, 96)).toEqual(dequantize('Q5_0', bytes, 96))
  })

  test.each<GgufType>(['Q5_1', 'Q2_K', 'Q3_K', 'Q4_K', 'Q5_K', 'Q6_K'])(
    '%s becomes F16, as near as that is',
    async (type) => {
      const bytes = await stored(type)
      const count = type === 'Q5_1' ? 96 : 768
      const made = repack(type, bytes, count)
      expect(made.type).toBe('F16')
      const [near, exact] = [dequantize('F16', made.bytes, count), dequantize(type, bytes, count)]
      for (let i = 0; i < count; i++)
        expect(Math.abs(near[i]! - exact[i]!)).toBeLessThanOrEqual(Math.max(2 ** -11 * Math.abs(exact[i]!), 2 ** -25))
    },
  )

  test('beyond the range of float16 it becomes F32, and what is packed stays', async () => {
    const bytes = Uint8Array.from(await stored('Q6_K'))
    bytes.set([0xff, 0x7b], 208)
    const made = repack('Q6_K', bytes, 256)
    expect(made.type).toBe('F32')
    expect(dequantize('F32', made.bytes, 256)).toEqual(dequantize('Q6_K', bytes, 256))
    const q4 = new Uint8Array(18)
    expect(repack('Q4_0', q4, 32)).toEqual({ type: 'Q4_0', bytes: q4 })
  })
})
