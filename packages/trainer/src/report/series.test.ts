import { describe, expect, it } from 'vitest'
import { downSample, type Point } from './down-sample.ts'
import { clip, digits, duration, shortStep } from './format.ts'
import { seeded } from './runs.test-util.ts'
import { linearScale, logScale, stepScale } from './scale.ts'
import { smooth } from './smooth.ts'

const noise = (count: number, seed: number): Point[] => {
  const random = seeded(seed)
  return Array.from({ length: count }, (_, i) => [i + 1, random()])
}

describe('downSample', () => {
  it('keeps the lowest and highest of each stretch, the first and the last, in order', () => {
    const points = noise(10_000, 1)
    const kept = downSample(points, 100)
    expect(kept.length).toBeLessThanOrEqual(202)
    expect([kept[0], kept.at(-1)]).toEqual([points[0], points.at(-1)])
    expect(kept.every(([step], i) => i === 0 || step > kept[i - 1]![0])).toBe(true)
    for (let from = 0; from < 10_000; from += 500) {
      const inside = (all: readonly Point[]): number[] =>
        all.filter(([step]) => step > from && step <= from + 500).map(([, value]) => value)
      expect(Math.max(...inside(kept))).toBe(Math.max(...inside(points)))
      expect(Math.min(...inside(kept))).toBe(Math.min(...inside(points)))
    }
  })

  it('leaves short series and drops what is not finite', () => {
    const odd: Point[] = [
      [1, Number.NaN],
      [2, 3],
      [3, Number.POSITIVE_INFINITY],
      [4, 1],
    ]
    expect(downSample(odd, 10)).toEqual([
      [2, 3],
      [4, 1],
    ])
    expect(downSample([[1, Number.NaN]], 10)).toEqual([])
  })
})

describe('smooth', () => {
  it('follows a straight line without lag and a level exactly', () => {
    const line = Array.from({ length: 400 }, (_, i): Point => [i, 10 - i / 50])
    for (const [step, value] of smooth(line, 10).slice(100, 300)) expect(value).toBeCloseTo(10 - step / 50, 3)
    for (const [, value] of smooth(
      [
        [1, 2],
        [2, 2],
        [3, 2],
      ],
      5,
    ))
      expect(value).toBeCloseTo(2, 12)
  })

  it('quietens noise, and on a logarithmic axis one spike', () => {
    const spread = (points: readonly Point[]): number =>
      Math.sqrt(points.reduce((n, [, v]) => n + (v - 0.5) ** 2, 0) / points.length)
    const points = noise(1000, 2)
    expect(spread(smooth(points, 25))).toBeLessThan(spread(points) / 3)
    const spike = Array.from({ length: 99 }, (_, i): Point => [i, i === 50 ? 1e4 : 1])
    const highest = (kind: 'linear' | 'log'): number => Math.max(...smooth(spike, 10, kind).map(([, v]) => v))
    expect(highest('log')).toBeLessThan(3)
    expect(highest('linear')).toBeGreaterThan(500)
  })
})

describe('scales', () => {
  it('end at round numbers around the values', () => {
    expect(linearScale([0.31, 2.9]).ticks).toEqual([0, 1, 2, 3])
    expect(linearScale([2.91, 3.05]).ticks).toEqual([2.9, 2.95, 3, 3.05])
    expect(linearScale([5e-4], { zero: true, count: 3 }).ticks).toEqual([0, 2e-4, 4e-4, 6e-4])
    expect(linearScale([-2, 3]).ticks).toEqual([-2, 0, 2, 4])
    expect(linearScale([0, 0]).ticks.length).toBeGreaterThan(1)
    expect(linearScale([]).ticks).toEqual([0, 0.5, 1])
    const { at } = linearScale([0.31, 2.9])
    expect([at(0), at(1.5), at(3), at(99)]).toEqual([0, 0.5, 1, 1])
  })

  it('count decades, six at most', () => {
    expect(logScale([0.02, 300]).ticks).toEqual([0.1, 1, 10, 100])
    expect(logScale([2, 30]).ticks).toEqual([2, 5, 10, 20])
    const deep = logScale([1e-30, 1])
    expect([deep.at(1e-30), deep.at(0), deep.at(-1)]).toEqual([0, 0, 0])
    expect(deep.at(1e-3)).toBeCloseTo(0.5, 6)
    expect(logScale([7, 7]).at(7)).toBeCloseTo(0.5, 6)
  })

  it('mark whole steps', () => {
    expect(stepScale(600).ticks).toEqual([0, 200, 400, 600])
    expect(stepScale(3).ticks).toEqual([0, 1, 2, 3])
    expect(stepScale(0).ticks).toEqual([0, 1])
  })
})

describe('numbers', () => {
  it.each([
    [0, '0'],
    [2.7184, '2.718'],
    [0.0314159, '0.03142'],
    [-0.5, '−0.5'],
    [12345.6, '12,350'],
    [1.25e-5, '1.25e−5'],
    [3.21e9, '3.21e9'],
    [Number.NaN, 'NaN'],
    [Number.NEGATIVE_INFINITY, '−∞'],
  ])('%d is %s', (value, shown) => expect(digits(value)).toBe(shown))

  it('durations, steps and long texts', () => {
    expect([0.0123, 59.5, 99.96, 125, 3725].map(duration)).toEqual([
      '12.3 ms',
      '59.5 s',
      '1 min 40 s',
      '2 min 5 s',
      '1 h 2 min',
    ])
    expect([250, 20_000, 1_500_000].map(shortStep)).toEqual(['250', '20k', '1.5M'])
    expect(clip('abcdef', 6)).toBe('abcdef')
    expect(clip('abcdefg', 3)).toBe('abc … (4 more characters)')
  })
})
