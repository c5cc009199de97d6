import { describe, expect, it } from 'vitest'
import { bfloatOf, halfOf, rounded } from './round-floats.ts'

/** The float16 of these bits, by its definition. */
const half = (bits: number): number => {
  const [sign, exponent, fraction] = [bits & 0x8000 ? -1 : 1, (bits >> 10) & 31, bits & 1023]
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1 + fraction / 1024) * 2 ** (exponent - 15))
}
const bfloat = (bits: number): number => new Float32Array(new Uint32Array([bits << 16]).buffer)[0]!
/** Positive finite numbers of a 16-bit type in order. */
const numbers = (last: number, of: (bits: number) => number) => Array.from({ length: last + 1 }, (_, bits) => of(bits))

describe.each([
  ['halfOf', halfOf, half, 0x7bff],
  ['bfloatOf', bfloatOf, bfloat, 0x7f7f],
] as const)('%s', (_, round, of, last) => {
  it('gives every number of the type back', () => {
    for (let bits = 0; bits <= last; bits++) {
      if (round(of(bits)) !== bits || round(-of(bits)) !== (bits | 0x8000)) throw new Error(`bits ${bits}`)
    }
  })
  it('rounds to the nearest, ties to even, between any two neighbours', () => {
    const all = numbers(last, of)
    for (let bits = 0; bits < last; bits++) {
      const [a, b] = [all[bits]!, all[bits + 1]!]
      const middle = (a + b) / 2
      const near = (b - a) / 1024
      // float32 holds the middle of any two exactly, but of the smallest bfloat16s.
      if (Math.fround(middle) !== middle) continue
      const even = bits % 2 === 0 ? bits : bits + 1
      if (round(middle) !== even) throw new Error(`middle above bits ${bits}: ${round(middle)}`)
      if (Math.fround(middle - near) < middle && round(middle - near) !== bits) throw new Error(`below, bits ${bits}`)
      if (Math.fround(middle + near) > middle && round(middle + near) !== bits + 1)
        throw new Error(`above, bits ${bits}`)
    }
  })
  it('keeps infinities, and not-a-numbers as such', () => {
    expect(of(round(Number.POSITIVE_INFINITY))).toBe(Number.POSITIVE_INFINITY)
    expect(of(round(Number.NEGATIVE_INFINITY))).toBe(Number.NEGATIVE_INFINITY)
    expect(of(round(Number.NaN))).toBeNaN()
  })
})

it('a float32 above the largest float16 is infinite', () => {
  expect(half(halfOf(65519))).toBe(65504)
  expect(half(halfOf(65520))).toBe(Number.POSITIVE_INFINITY)
})

it('rounds a list', () => {
  const values = Float32Array.of(1, -0.1, 70000)
  expect([...rounded(values, 'f16')]).toEqual([...values].map(halfOf))
  expect([...rounded(values, 'bf16')]).toEqual([...values].map(bfloatOf))
})
