import { describe, expect, test } from 'vitest'
import { faultOf } from './files.test-util.ts'
import { type Dtype, fromFloat32, toFloat32 } from './index.ts'

const of = (dtype: Dtype, shape: readonly number[], bytes: Uint8Array) => ({ name: 'a', dtype, shape, bytes })
const bytesOf = (values: Uint16Array | Float64Array | Float32Array): Uint8Array => new Uint8Array(values.buffer)
const odd = (bytes: Uint8Array): Uint8Array => Uint8Array.from([0, ...bytes]).subarray(1)

describe('toFloat32', () => {
  test('F16: every number there is, and its neighbours on the way', () => {
    const bits = Uint16Array.of(
      0x0000,
      0x8000,
      0x3c00,
      0xc000,
      0x7bff,
      0x0001,
      0x03ff,
      0x0400,
      0x3555,
      0x7c00,
      0xfc00,
      0x7e00,
    )
    const expected = [
      0,
      -0,
      1,
      -2,
      65504,
      2 ** -24,
      1023 * 2 ** -24,
      2 ** -14,
      0.333251953125,
      Infinity,
      -Infinity,
      NaN,
    ]
    expect([...toFloat32(of('F16', [12], bytesOf(bits)))]).toEqual(expected)
    expect([...toFloat32(of('F16', [12], odd(bytesOf(bits))))]).toEqual(expected)
  })

  test('F16: all finite numbers grow with their bits', () => {
    const all = toFloat32(of('F16', [0x7c00], bytesOf(Uint16Array.from({ length: 0x7c00 }, (_, i) => i))))
    expect(all.every((v, i) => i === 0 || v > all[i - 1]!)).toBe(true)
  })

  test('BF16', () => {
    const bits = Uint16Array.of(0, 0x8000, 0x3f80, 0xc040, 0x7f80, 0xff80, 0x7fc0, 0x0001)
    const expected = [0, -0, 1, -3, Infinity, -Infinity, NaN, 2 ** -133]
    expect([...toFloat32(of('BF16', [2, 4], odd(bytesOf(bits))))]).toEqual(expected)
  })

  test('F64 is rounded', () => {
    const values = Float64Array.of(0.1, 1e300, -1e-300, 1 + 2 ** -30)
    for (const bytes of [bytesOf(values), odd(bytesOf(values)), Buffer.from([0, ...bytesOf(values)]).subarray(1)])
      expect([...toFloat32(of('F64', [4], bytes))]).toEqual([Math.fround(0.1), Infinity, -0, 1])
  })

  test('F32 is a view where it can be', () => {
    const values = Float32Array.of(1, 2, 3)
    expect(toFloat32(fromFloat32('a', [3], values)).buffer).toBe(values.buffer)
    expect([...toFloat32(of('F32', [3], odd(bytesOf(values))))]).toEqual([1, 2, 3])
    expect([...toFloat32(fromFloat32('a', [2], values.subarray(1)))]).toEqual([2, 3])
    expect(toFloat32(fromFloat32('a', [0, 3], new Float32Array(0)))).toHaveLength(0)
  })

  test('what it refuses', async () => {
    expect((await faultOf(() => toFloat32(of('I32', [1], new Uint8Array(4))))).code).toBe('bad-dtype')
    expect((await faultOf(() => toFloat32(of('F32', [2], new Uint8Array(4))))).code).toBe('bad-tensor')
    expect((await faultOf(() => toFloat32(of('F16', [1], new Uint8Array(3))))).code).toBe('bad-tensor')
    await faultOf(() => toFloat32(of('F32', [2 ** 40, 2 ** 40], new Uint8Array(4))))
  })
})
