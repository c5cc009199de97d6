import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { faultOf, seeded } from './files.test-util.ts'
import { bytesSource, dequantize, openSafetensors, type PackedType, quantize, toFloat32 } from './index.ts'

// Made by tooling/oracle/gguf_quantize.py with gguf-py.
const fixture = fileURLToPath(new URL('../fixtures/quantized.safetensors', import.meta.url))

describe('the bytes of gguf-py', () => {
  test.each<PackedType>(['F16', 'BF16', 'Q8_0', 'Q4_0', 'Q4_1'])('%s', async (type) => {
    const file = await openSafetensors(bytesSource(readFileSync(fixture)))
    const values = toFloat32(await file.read('values'))
    const { bytes } = await file.read(type)
    expect(values.length).toBeGreaterThan(1000)
    expect(Buffer.from(quantize(type, values)).equals(Buffer.from(bytes))).toBe(true)
  })
})

describe('quantize', () => {
  test('F32 is a copy', () => {
    const values = Float32Array.of(1, Number.NaN, -0)
    const bytes = quantize('F32', values)
    values[0] = 2
    expect([...dequantize('F32', bytes, 3)]).toEqual([1, Number.NaN, -0])
  })

  test.each<[PackedType, number]>([
    ['Q8_0', 1 / 254],
    ['Q4_0', 1 / 8],
    ['Q4_1', 1 / 15],
  ])('%s gives each number back within half a step, and what it gives back once more as it is', (type, step) => {
    const random = seeded(3)
    const values = Float32Array.from({ length: 320 }, () => random(2001) / 1000 - 1)
    const back = dequantize(type, quantize(type, values), 320)
    for (const [i, value] of values.entries()) expect(Math.abs(back[i]! - value)).toBeLessThan(step + 1e-3)
    const again = dequantize(type, quantize(type, back), 320)
    for (const [i, value] of back.entries()) expect(Math.abs(again[i]! - value)).toBeLessThan(2e-3)
  })

  test.each<[PackedType, number[], RegExp]>([
    ['Q8_0', [1, 2, 3], /^w: given 3 numbers; expected a multiple of 32, the block of Q8_0$/],
    ['F16', [65536], /^w: given the weight 65536; expected at most 65504 in F16: write F32$/],
    ['BF16', [3.4e38], /given the weight 3\.39/],
    ['Q4_0', [Number.NaN, ...new Array<number>(31).fill(0)], /given the weight NaN/],
    ['Q4_1', [...new Array<number>(31).fill(0), Number.NEGATIVE_INFINITY], /given the weight -Infinity/],
  ])('%s of %j is refused', async (type, values, message) => {
    const fault = await faultOf(() => quantize(type, Float32Array.from(values), 'w'))
    expect(fault.code).toBe('bad-tensor')
    expect(fault.message).toMatch(message)
  })
})
