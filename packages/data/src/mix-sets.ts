import { GraftError } from '@graftjs/tensor/error'
import { checkChoice } from './check-choice.ts'
import { checkWhole } from './check-whole.ts'
import { shuffled } from './shuffled.ts'

export interface NamedSet<T> {
  readonly name: string
  readonly samples: readonly T[]
}

export interface MixOptions {
  /**
   * What share each of the sets has: `proportional` its part of all samples, `equal` the same for each, `temperature`
   * size^(1 / T), made to sum to one: T = 1 is proportional, T → ∞ equal (Raffel et al. 2020).
   */
  readonly strategy: 'proportional' | 'temperature' | 'equal'
  /** T, above 0; of the strategy `temperature` alone. */
  readonly temperature?: number
  /** A larger set counts as one of this size (T5's K). Default: none does. */
  readonly limit?: number
  /** Samples of an epoch. Default: as many as the sets have together. */
  readonly size?: number
  /** Default 0. */
  readonly seed?: number
  /** Default 0. */
  readonly epoch?: number
}

export interface MixCount {
  readonly name: string
  /** Samples that the set has. */
  readonly samples: number
  /** How many samples of an epoch are drawn from it: `share` of all, rounded so that they add up. */
  readonly drawn: number
  /** The share it was to have, of 0 … 1. */
  readonly share: number
}

export interface Mixture<T> {
  readonly samples: T[]
  /** The index of each sample's set. */
  readonly sets: number[]
  readonly counts: MixCount[]
}

/**
 * One epoch of several sets, mixed: a function of (sets, options) and nothing else. A set is drawn pass by pass, each in
 * an order of its own, and the next epoch goes on where this one stopped: at any time its samples have been drawn equally
 * often, give or take one.
 */
export const mixSets = <T>(sets: readonly NamedSet<T>[], options: MixOptions): Mixture<T> => {
  const { seed = 0, epoch = 0 } = options
  checkSets(sets)
  checkOptions(options)
  const sizes = sets.map(({ samples }) => samples.length)
  const shares = sharesOf(sizes, options)
  const size = options.size ?? sizes.reduce((a, b) => a + b)
  const drawn = apportion(shares, size)
  const none = drawn.indexOf(0)
  if (none >= 0) throw neverDrawn(sets[none]!.name, size, shares[none]!)
  const draws = sets.flatMap((set, s) => passes(set, drawn[s]!, seed, epoch).map((sample) => ({ sample, s })))
  const mixed = shuffled(draws, seed, `mixing/${epoch}`)
  return {
    samples: mixed.map(({ sample }) => sample),
    sets: mixed.map(({ s }) => s),
    counts: sets.map(({ name }, s) => ({ name, samples: sizes[s]!, drawn: drawn[s]!, share: shares[s]! })),
  }
}

const sharesOf = (sizes: readonly number[], { strategy, temperature, limit }: MixOptions): number[] => {
  const power = { proportional: 1, equal: 0, temperature: 1 / (temperature ?? 1) }[strategy]
  const counted = sizes.map((size) => Math.min(size, limit ?? size))
  // By the largest, so that a low temperature's power does not overflow.
  const most = Math.max(...counted)
  const rates = counted.map((size) => (size / most) ** power)
  const total = rates.reduce((a, b) => a + b)
  return rates.map((rate) => rate / total)
}

/** Whole numbers that sum to `size`, each next to its share of it: rounded down, the largest remainders up. */
const apportion = (shares: readonly number[], size: number): number[] => {
  const exact = shares.map((share) => share * size)
  const counts = exact.map(Math.floor)
  const left = size - counts.reduce((a, b) => a + b)
  const byRemainder = exact
    .map((x, i) => ({ i, remainder: x - counts[i]! }))
    .sort((a, b) => b.remainder - a.remainder || a.i - b.i)
  for (const { i } of byRemainder.slice(0, left)) counts[i]!++
  return counts
}

/** Draws `epoch · count` to `(epoch + 1) · count` of the set's endless row of passes. */
const passes = <T>({ name, samples }: NamedSet<T>, count: number, seed: number, epoch: number): T[] => {
  const [from, to] = [epoch * count, (epoch + 1) * count]
  const first = Math.floor(from / samples.length)
  const last = Math.ceil(to / samples.length)
  return Array.from({ length: last - first }, (_, i) => shuffled(samples, seed, `mixing/${name}/${first + i}`))
    .flat()
    .slice(from - first * samples.length, to - first * samples.length)
}

const checkSets = (sets: readonly NamedSet<unknown>[]): void => {
  if (sets.length === 0)
    throw new GraftError({ code: 'no-data', culprit: 'sets', given: 'none', expected: 'at least one' })
  for (const [i, { name, samples }] of sets.entries()) {
    if (samples.length === 0)
      throw new GraftError({ code: 'no-data', culprit: `set ${name}`, given: 'no samples', expected: 'at least one' })
    // Its draws come from its name, so that adding a set moves no other set's.
    if (sets.findIndex((set) => set.name === name) < i)
      throw new GraftError({
        code: 'bad-option',
        culprit: `sets[${i}]`,
        given: `a second set named ${name}`,
        expected: 'a name of its own',
      })
  }
}

const checkOptions = ({ strategy, temperature, limit = 1, size = 1, epoch = 0 }: MixOptions): void => {
  checkChoice('strategy', strategy, ['proportional', 'temperature', 'equal'])
  checkWhole('limit', limit, 1)
  checkWhole('size', size, 1)
  checkWhole('epoch', epoch, 0)
  const wanted = strategy === 'temperature'
  if (wanted ? Number.isFinite(1 / (temperature ?? 0)) && temperature! > 0 : temperature === undefined) return
  throw new GraftError({
    code: 'bad-option',
    culprit: 'temperature',
    given: wanted ? String(temperature) : `${temperature}, with strategy ${strategy}`,
    expected: wanted ? 'a number above 0' : 'strategy temperature, or none',
  })
}

const neverDrawn = (name: string, size: number, share: number): GraftError =>
  new GraftError({
    code: 'never-drawn',
    culprit: `set ${name}`,
    given: `a share of ${Number(share.toPrecision(3))} of ${size} samples, which is none`,
    expected: 'a larger size, or a mixture without this set',
  })
