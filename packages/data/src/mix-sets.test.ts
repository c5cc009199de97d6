import { describe, expect, it } from 'vitest'
import { type MixOptions, mixSets, type NamedSet } from './mix-sets.ts'

const set = (name: string, size: number): NamedSet<string> => ({
  name,
  samples: Array.from({ length: size }, (_, i) => `${name}${i}`),
})
const sets = [set('a', 10), set('b', 40), set('c', 150)]
const tally = <T>(list: readonly T[]): Map<T, number> => {
  const counts = new Map<T, number>()
  for (const item of list) counts.set(item, (counts.get(item) ?? 0) + 1)
  return counts
}
const drawn = (options: MixOptions, of = sets): number[] => mixSets(of, options).counts.map((count) => count.drawn)

describe('mixSets', () => {
  it('proportional is every sample once', () => {
    const { samples, sets: from, counts } = mixSets(sets, { strategy: 'proportional' })
    expect([...samples].sort()).toEqual(sets.flatMap((s) => s.samples).sort())
    samples.forEach((sample, i) => expect(sets[from[i]!]!.samples).toContain(sample))
    expect(counts).toEqual([
      { name: 'a', samples: 10, drawn: 10, share: 0.05 },
      { name: 'b', samples: 40, drawn: 40, share: 0.2 },
      { name: 'c', samples: 150, drawn: 150, share: 0.75 },
    ])
  })
  it('has the counts of the formulas', () => {
    expect(drawn({ strategy: 'equal' })).toEqual([67, 67, 66])
    // √10 : √40 : √150 of 200
    expect(drawn({ strategy: 'temperature', temperature: 2 })).toEqual([29, 58, 113])
    expect(drawn({ strategy: 'temperature', temperature: 1 })).toEqual([10, 40, 150])
    expect(drawn({ strategy: 'temperature', temperature: Number.POSITIVE_INFINITY })).toEqual([67, 67, 66])
    expect(drawn({ strategy: 'temperature', temperature: 1e-3 }, [set('a', 90), set('b', 90)])).toEqual([90, 90])
    // With T5's limit: 10 : 30 : 30.
    expect(drawn({ strategy: 'proportional', limit: 30, size: 70 })).toEqual([10, 30, 30])
    expect(drawn({ strategy: 'temperature', temperature: 2, limit: 40, size: 50 })).toEqual([10, 20, 20])
  })
  it('counts add up and are what is drawn, for any sizes', () => {
    for (let n = 0; n < 300; n++) {
      const of = Array.from({ length: 1 + (n % 6) }, (_, i) => set(`s${i}-`, 1 + ((n * 31 + i * i * 47) % 97)))
      const options: MixOptions = {
        ...(
          [{ strategy: 'proportional' }, { strategy: 'equal' }, { strategy: 'temperature', temperature: 3 }] as const
        )[n % 3]!,
        size: 60 + n,
        epoch: n % 4,
        seed: n,
        limit: n % 2 ? 20 : 1000,
      }
      let made: ReturnType<typeof mixSets<string>>
      try {
        made = mixSets(of, options)
      } catch (error) {
        expect(String(error)).toMatch(/which is none/)
        continue
      }
      expect(made.samples).toHaveLength(60 + n)
      const found = tally(made.sets)
      for (const [i, { drawn, share }] of made.counts.entries()) {
        expect(found.get(i)).toBe(drawn)
        expect(Math.abs(drawn - share * (60 + n))).toBeLessThan(1)
      }
      expect(made.counts.reduce((sum, { share }) => sum + share, 0)).toBeCloseTo(1, 12)
    }
  })
  it('draws the samples of a set equally often, give or take one, over any number of epochs', () => {
    const so = new Map<string, number>()
    for (let epoch = 0; epoch < 25; epoch++) {
      for (const sample of mixSets(sets, { strategy: 'equal', size: 90, epoch, seed: 5 }).samples)
        so.set(sample, (so.get(sample) ?? 0) + 1)
      for (const { samples } of sets) {
        const counts = samples.map((sample) => so.get(sample) ?? 0)
        expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1)
      }
    }
  })
  it('is a function of seed and epoch, and a set keeps its draws when another is renamed', () => {
    const order = (seed: number, epoch: number) => mixSets(sets, { strategy: 'equal', seed, epoch }).samples.join()
    expect(order(1, 2)).toBe(order(1, 2))
    const orders = [0, 1, 2].flatMap((seed) => [0, 1, 2].map((epoch) => order(seed, epoch)))
    expect(new Set(orders).size).toBe(9)
    const ofC = (first: NamedSet<string>) =>
      mixSets([first, sets[1]!, sets[2]!], { strategy: 'equal', size: 60 }).samples.filter((s) => s.startsWith('c'))
    expect(ofC(set('x', 10)).sort()).toEqual(ofC(set('a', 10)).sort())
  })
  it('draws sets of one size apart, by their names', () => {
    const { samples } = mixSets([set('a', 50), set('b', 50)], { strategy: 'equal', size: 20 })
    const of = (name: string) => samples.filter((s) => s.startsWith(name)).map((s) => s.slice(1))
    expect(of('a').sort()).not.toEqual(of('b').sort())
  })
  it('spreads the sets over the epoch', () => {
    // Of 2,000 of each, the first half has 1,000 with a standard deviation of 16.
    const { sets: from } = mixSets([set('a', 2000), set('b', 2000)], { strategy: 'equal' })
    expect(Math.abs(from.slice(0, 2000).filter((s) => s === 0).length - 1000)).toBeLessThan(80)
  })
  it.each([
    [[], { strategy: 'equal' }, /^sets: given none/],
    [[set('a', 0)], { strategy: 'equal' }, /^set a: given no samples; expected at least one/],
    [[set('a', 1), set('a', 2)], { strategy: 'equal' }, /^sets\[1\]: given a second set named a; expected a name/],
    [sets, { strategy: 'random' }, /^strategy: given random; expected one of proportional, temperature, equal/],
    [sets, { strategy: 'temperature' }, /^temperature: given undefined; expected a number above 0/],
    [sets, { strategy: 'temperature', temperature: 0 }, /^temperature: given 0;/],
    [sets, { strategy: 'temperature', temperature: -2 }, /^temperature: given -2;/],
    [sets, { strategy: 'temperature', temperature: Number.NaN }, /^temperature: given NaN;/],
    [sets, { strategy: 'temperature', temperature: 1e-320 }, /^temperature: given/],
    [sets, { strategy: 'equal', temperature: 2 }, /^temperature: given 2, with strategy equal; expected strategy temp/],
    [sets, { strategy: 'equal', size: 0 }, /^size: given 0/],
    [sets, { strategy: 'equal', limit: 0.5 }, /^limit: given 0.5/],
    [sets, { strategy: 'equal', epoch: -1 }, /^epoch: given -1/],
    [sets, { strategy: 'equal', seed: -1 }, /^seed: given -1/],
    [sets, { strategy: 'proportional', size: 5 }, /^set a: given a share of 0.05 of 5 samples, which is none/],
  ] as const)('refuses %#', (of, options, message) => {
    expect(() => mixSets(of as readonly NamedSet<string>[], options as MixOptions)).toThrow(message)
  })
})
