import { describe, expect, it } from 'vitest'
import { batches } from './batches.ts'

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
