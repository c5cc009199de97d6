import { describe, expect, it } from 'vitest'
import { batches } from './batches.ts'
import type { Sample } from './encode-examples.ts'
import { lengthsOf, samplesOf } from './lengths.test-util.ts'

const rows = Array.from({ length: 23 }, (_, i) => i)

describe('batches', () => {
  it('hands out each row once', () => {
    for (const batchSize of [1, 4, 23, 100]) {
      const made = batches(rows, { batchSize })
      expect(made.flat().sort((a, b) => a - b)).toEqual(rows)
      expect(made.slice(0, -1).every((batch) => batch.length === batchSize)).toBe(true)
    }
    expect(batches([], { batchSize: 3 })).toEqual([])
  })
  it('is a function of seed and epoch', () => {
    const order = (seed: number, epoch: number) => batches(rows, { batchSize: 4, seed, epoch }).flat().join()
    expect(order(1, 2)).toBe(order(1, 2))
    const orders = [0, 1, 2].flatMap((seed) => [0, 1, 2].map((epoch) => order(seed, epoch)))
    expect(new Set(orders).size).toBe(9)
  })
  it('draws every order alike', () => {
    // 3! orders over 6,000 epochs: 1,000 each, with a standard deviation of 29.
    const counts = new Map<string, number>()
    for (let epoch = 0; epoch < 6000; epoch++) {
      const order = batches([0, 1, 2], { batchSize: 3, epoch }).flat().join()
      counts.set(order, (counts.get(order) ?? 0) + 1)
    }
    expect(counts.size).toBe(6)
    for (const count of counts.values()) expect(Math.abs(count - 1000)).toBeLessThan(150)
  })
  it('keeps the order, leaves a short batch out, and leaves its input alone', () => {
    expect(batches(rows, { batchSize: 10, shuffle: false }).flat()).toEqual(rows)
    expect(batches(rows, { batchSize: 10, shuffle: false, dropLast: true }).flat()).toEqual(rows.slice(0, 20))
    const own = [...rows]
    batches(own, { batchSize: 5 })
    expect(own).toEqual(rows)
  })
  it.each([0, 1.5, Number.NaN])('refuses a batch size of %d', (batchSize) =>
    expect(() => batches(rows, { batchSize })).toThrow(/batchSize: given/),
  )
})

describe('bucketing', () => {
  const samples = samplesOf(lengthsOf(1003, 256, 4))
  /** Tokens that are padding, of all. */
  const padding = (made: readonly Sample[][]): number => {
    const slots = made.reduce((n, batch) => n + batch.length * Math.max(...batch.map(({ ids }) => ids.length)), 0)
    return 1 - made.flat().reduce((n, { ids }) => n + ids.length, 0) / slots
  }
  it('hands out each row once, for any lengths and sizes', () => {
    for (let seed = 0; seed < 100; seed++) {
      const some = samplesOf(lengthsOf(1 + ((seed * 13) % 90), 40, seed))
      const batchSize = 1 + (seed % 9)
      const made = batches(some, { batchSize, seed, epoch: seed % 3, bucketing: true })
      expect(made.flat().sort((a, b) => a.source - b.source)).toEqual(some)
      expect(made.map(({ length }) => length)).toEqual(batches(some, { batchSize }).map(({ length }) => length))
    }
    expect(batches([] as Sample[], { batchSize: 3, bucketing: true })).toEqual([])
  })
  it('pads little', () => {
    for (const epoch of [0, 1, 2]) {
      const options = { batchSize: 8, epoch }
      expect(padding(batches(samples, options))).toBeGreaterThan(0.4)
      expect(padding(batches(samples, { ...options, bucketing: true }))).toBeLessThan(0.05)
    }
  })
  it('is a function of seed and epoch, in no order of lengths', () => {
    const order = (seed: number, epoch: number) =>
      batches(samples, { batchSize: 8, seed, epoch, bucketing: true }).flatMap((b) => b.map(({ source }) => source))
    expect(order(1, 2)).toEqual(order(1, 2))
    const orders = [0, 1, 2].flatMap((seed) => [0, 1, 2].map((epoch) => order(seed, epoch).join()))
    expect(new Set(orders).size).toBe(9)
    // A run of batches that only shrink or only grow would be a curriculum nobody asked for.
    const widths = batches(samples, { batchSize: 8, bucketing: true }).map((b) => b[0]!.ids.length)
    const rises = widths.slice(1).filter((width, i) => width > widths[i]!).length
    expect(rises).toBeGreaterThan(widths.length * 0.3)
    expect(rises).toBeLessThan(widths.length * 0.7)
  })
  it('leaves out by chance, not by length', () => {
    const out = new Set<number>()
    for (let epoch = 0; epoch < 200; epoch++) {
      const kept = new Set(batches(samples, { batchSize: 8, epoch, bucketing: true, dropLast: true }).flat())
      for (const sample of samples) if (!kept.has(sample)) out.add(sample.source)
    }
    const mean = (list: readonly Sample[]): number => list.reduce((n, { ids }) => n + ids.length, 0) / list.length
    expect(Math.abs(mean(samples.filter(({ source }) => out.has(source))) / mean(samples) - 1)).toBeLessThan(0.15)
  })
  it('keeps the order of equals and of batches without shuffling, and leaves its input alone', () => {
    const own = [...samples]
    const made = batches(own, { batchSize: 8, shuffle: false, bucketing: true })
    expect(own).toEqual(samples)
    for (const [from, to] of [
      [0, 50],
      [50, 100],
      [100, 125],
    ])
      expect(made.slice(from, to).flat()).toEqual(
        samples.slice(from! * 8, to! * 8).sort((a, b) => b.ids.length - a.ids.length),
      )
  })
  it('wants rows that have a length', () =>
    expect(() => batches([{ text: 'a' }] as unknown as Sample[], { batchSize: 1, bucketing: true })).toThrow(
      /^rows\[0\]: given a row without ids, and bucketing: true; expected rows whose ids can be counted/,
    ))
})
