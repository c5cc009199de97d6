import { describe, expect, it } from 'vitest'
import { philox, random } from './random.ts'

describe('random', () => {
  it('is Philox4x32-10: the known answers of the Random123 distribution', () => {
    const out = new Uint32Array(4)
    philox(0, 0, 0, out)
    expect([...out].map((v) => v.toString(16))).toEqual(['6627e8d5', 'e169c58d', 'bc57ac4c', '9b00dbd8'])
  })

  it('depends on seed and path alone', () => {
    const draw = (seed: number, path: string) => Array.from({ length: 5 }, random(seed, path).uniform)
    expect(draw(1, 'a')).toEqual(draw(1, 'a'))
    expect(draw(1, 'a')).not.toEqual(draw(2, 'a'))
    expect(draw(1, 'a')).not.toEqual(draw(1, 'b'))
  })

  it('has the moments it promises', () => {
    const r = random(7, 'moments')
    const u = r.fill(new Float32Array(20000), 'uniform')
    const n = r.fill(new Float32Array(20000), 'normal')
    const mean = (xs: Float32Array) => xs.reduce((s, v) => s + v, 0) / xs.length
    expect(mean(u)).toBeCloseTo(0.5, 1)
    expect(mean(n)).toBeCloseTo(0, 1)
    expect(mean(n.map((v) => v * v))).toBeCloseTo(1, 1)
    expect(Math.min(...u)).toBeGreaterThanOrEqual(0)
    expect(Math.max(...u)).toBeLessThan(1)
  })

  it('refuses a seed that is no whole number', () => {
    expect(() => random(0.5, 'x')).toThrow(/seed: given 0.5; expected a whole number/)
  })
})
