import { describe, expect, it } from 'vitest'
import { bestFit } from './best-fit.ts'
import { lengthsOf } from './lengths.test-util.ts'

/** The same rule, said as plainly as it can be: of the rows with the least space that suffices, the one that got it first. */
const plainly = (lengths: readonly number[], capacity: number): number[][] => {
  const rows: { members: number[]; space: number; since: number }[] = []
  let now = 0
  for (const i of lengths.map((_, n) => n).sort((a, b) => lengths[b]! - lengths[a]! || a - b)) {
    const fits = rows.filter(({ space }) => space >= lengths[i]!)
    const best = fits.sort((a, b) => a.space - b.space || a.since - b.since)[0]
    const row = best ?? { members: [], space: capacity, since: 0 }
    if (!best) rows.push(row)
    row.members.push(i)
    row.space -= lengths[i]!
    row.since = now++
  }
  return rows.map(({ members }) => members)
}

/** Rows that first-fit decreasing needs. */
const firstFit = (lengths: readonly number[], capacity: number): number => {
  const spaces: number[] = []
  for (const length of [...lengths].sort((a, b) => b - a)) {
    const at = spaces.findIndex((space) => space >= length)
    if (at < 0) spaces.push(capacity - length)
    else spaces[at]! -= length
  }
  return spaces.length
}

describe('bestFit', () => {
  it('is the rule said plainly, for random lengths and capacities', () => {
    for (let seed = 0; seed < 200; seed++) {
      const capacity = 1 + (seed % 37)
      const lengths = lengthsOf(1 + ((seed * 7) % 60), capacity, seed)
      expect(bestFit(lengths, capacity)).toEqual(plainly(lengths, capacity))
    }
  })
  it('needs no more rows than first fit on log-normal lengths, and fills them', () => {
    for (const seed of [1, 2, 3, 4, 5]) {
      const lengths = lengthsOf(2000, 512, seed)
      const rows = bestFit(lengths, 512)
      const total = lengths.reduce((a, b) => a + b)
      expect(rows.length).toBeLessThanOrEqual(firstFit(lengths, 512))
      expect(total / (rows.length * 512)).toBeGreaterThan(0.99)
    }
  })
  it('takes any capacity: a huge one makes one row', () => {
    expect(bestFit([3, 1, 2], Number.MAX_SAFE_INTEGER)).toEqual([[0, 2, 1]])
    expect(bestFit([1, 1, 1], 1)).toEqual([[0], [1], [2]])
    expect(bestFit([], 8)).toEqual([])
  })
})
