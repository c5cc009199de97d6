import { describe, expect, it } from 'vitest'
import { collate, countTargets } from './collate.ts'
import type { Sample } from './encode-examples.ts'
import { lengthsOf, samplesOf } from './lengths.test-util.ts'
import { type PackOptions, packSamples } from './pack-samples.ts'

const sample = (ids: readonly number[], source: number): Sample => ({ ids, labels: ids, source })

describe('packSamples, as pack_dataset of TRL does it', () => {
  const how: Record<string, Partial<PackOptions>> = {
    bfd: { overlong: 'keep-start' },
    bfd_split: { overlong: 'split' },
    wrapped: { strategy: 'wrapped' },
  }
  /** Its lists written `1 2 | 3`, ours too, with a + between the documents of a row. */
  const pack = (lists: string, seqLength: number, strategy: string): string => {
    const samples = lists.split(' | ').map((list, i) => sample(list.split(' ').map(Number), i))
    const { rows } = packSamples(samples, { maxLength: seqLength, shuffle: false, ...how[strategy] })
    return rows
      .map(({ ids, positions }) => ids.map((id, t) => (t > 0 && positions[t] === 0 ? `+ ${id}` : id)).join(' '))
      .join(' | ')
  }
  // The examples of its documentation (1.x), then those of its tests.
  it.each([
    ['bfd', '1 2 3 4 5 | 6 7 | 8 9 10 | 11', 4, '1 2 3 4 | 8 9 10 + 11 | 6 7'],
    ['bfd_split', '1 2 3 4 5 | 6 7 | 8 9 10 | 11', 4, '1 2 3 4 | 8 9 10 + 5 | 6 7 + 11'],
    ['bfd', '1 2 3 | 4 5 6 7 | 8', 4, '4 5 6 7 | 1 2 3 + 8'],
    ['bfd', '1 2 3 4 5 | 6 7 | 8 9 10 11 | 12', 4, '1 2 3 4 | 8 9 10 11 | 6 7 + 12'],
    ['bfd_split', '1 2 3 4 5 | 6 7 | 8 9 10 11 | 12', 4, '1 2 3 4 | 8 9 10 11 | 6 7 + 5 + 12'],
    [
      'bfd_split',
      '1 -2 3 -4 5 -6 | 7 -8 9 | -10 11 -12 | 13 -14 15 -16',
      4,
      '1 -2 3 -4 | 13 -14 15 -16 | 7 -8 9 | -10 11 -12 | 5 -6',
    ],
    ['bfd_split', '1 2 3 4 5 | 6 | 7 8 9 10 | 11 12 13', 5, '1 2 3 4 5 | 7 8 9 10 + 6 | 11 12 13'],
    ['wrapped', '1 2 3 | 4 5 6 7 | 8', 3, '1 2 3 | 4 5 6 | 7 + 8'],
    ['wrapped', '1 2 | 3 4 | 5 6 | 7 8 | 9 10 | 11 12', 4, '1 2 + 3 4 | 5 6 + 7 8 | 9 10 + 11 12'],
  ])('%s of %s, %d a row', (strategy, lists, seqLength, rows) =>
    // Its wrapped documents see each other; ours keep to themselves, hence the + there.
    expect(pack(lists, seqLength, strategy)).toBe(rows),
  )
})

describe('packSamples', () => {
  it('says where documents are, and learns none of their first tokens', () => {
    const { rows, report } = packSamples([sample([1, 2, 3], 0), sample([4, 5, 6, 7], 1), sample([8], 2)], {
      maxLength: 5,
      shuffle: false,
    })
    expect(rows).toEqual([
      {
        ids: [4, 5, 6, 7, 8],
        labels: [-100, 5, 6, 7, -100],
        positions: [0, 1, 2, 3, 0],
        segments: [0, 0, 0, 0, 1],
        lengths: [4, 1],
        sources: [1, 2],
      },
      {
        ids: [1, 2, 3],
        labels: [-100, 2, 3],
        positions: [0, 1, 2],
        segments: [0, 0, 0],
        lengths: [3],
        sources: [0],
      },
    ])
    expect(report).toEqual({
      rows: 2,
      documents: 3,
      fill: 0.8,
      perRow: { least: 1, mean: 1.5, most: 2 },
      truncated: 0,
      split: 0,
      lostTokens: 0,
      lostTargets: 0,
    })
  })

  const many = samplesOf(lengthsOf(300, 64, 1))
  const targets = countTargets(collate(many, { padId: 0 }))
  it.each([
    ['best-fit', {}, 64],
    ['split', { overlong: 'split' }, 20],
    ['wrapped', { strategy: 'wrapped' }, 20],
  ] as const)('has every token once, with the label it had (%s)', (_, options, maxLength) => {
    for (const epoch of [0, 1]) {
      const { rows, report } = packSamples(many, { maxLength, epoch, seed: 3, ...options })
      const known = new Map(many.flatMap(({ ids, labels }) => ids.map((id, t) => [id, labels[t]] as const)))
      const seen = rows.flatMap(({ ids }) => ids)
      expect([...seen].sort((a, b) => a - b)).toEqual([...known.keys()])
      for (const row of rows) {
        expect(row.ids.length).toBeLessThanOrEqual(maxLength)
        row.ids.forEach((id, t) => {
          // Within a document the tokens follow each other as in the sample.
          if (row.positions[t]! > 0) {
            expect(id).toBe(row.ids[t - 1]! + 1)
            expect([row.segments[t], row.positions[t]]).toEqual([row.segments[t - 1], row.positions[t - 1]! + 1])
            expect(row.labels[t]).toBe(known.get(id))
          } else {
            expect([row.labels[t], row.segments[t]]).toEqual([-100, t === 0 ? 0 : row.segments[t - 1]! + 1])
          }
        })
        expect(row.segments.at(-1)! + 1).toBe(row.lengths.length)
        expect(row.lengths.map((length) => length)).toEqual(
          row.lengths.map((_, i) => row.segments.filter((s) => s === i).length),
        )
        row.sources.forEach((source, i) => expect(many[source]!.ids).toContain(row.ids[row.segments.indexOf(i)]))
      }
      expect(report.documents).toBe(rows.reduce((n, { lengths }) => n + lengths.length, 0))
      expect(report.fill).toBeCloseTo(seen.length / (rows.length * maxLength), 12)
      expect(report.lostTokens).toBe(0)
      expect(countTargets(collate(rows, { padId: 0 }))).toBe(targets - report.lostTargets)
      expect(report.split > 0).toBe(maxLength < 64)
      expect(report.truncated).toBe(0)
    }
  })

  it('is a function of seed and epoch, and best-fit keeps its figures', () => {
    const order = (seed: number, epoch: number) =>
      JSON.stringify(packSamples(many, { maxLength: 64, seed, epoch }).rows.map(({ sources }) => sources))
    expect(order(1, 2)).toBe(order(1, 2))
    const orders = [0, 1, 2].flatMap((seed) => [0, 1, 2].map((epoch) => order(seed, epoch)))
    expect(new Set(orders).size).toBe(9)
    const reports = [0, 1, 2].map((epoch) => packSamples(many, { maxLength: 64, epoch }).report)
    expect(reports[1]).toEqual(reports[0])
    expect(reports[2]).toEqual(reports[0])
    for (const strategy of ['best-fit', 'wrapped'] as const) {
      const company = (epoch: number) =>
        JSON.stringify(
          packSamples(many, { maxLength: 64, epoch, strategy })
            .rows.map(({ ids }) => ids)
            .sort(),
        )
      expect(company(1)).not.toBe(company(0))
    }
    // Laid out longest first, handed out in any order.
    const widths = packSamples(many, { maxLength: 64 }).rows.map(({ lengths }) => lengths[0]!)
    const rises = widths.slice(1).filter((width, i) => width > widths[i]!).length
    expect(rises).toBeGreaterThan(widths.length * 0.2)
    const before = JSON.stringify(many)
    packSamples(many, { maxLength: 64 })
    expect(JSON.stringify(many)).toBe(before)
  })

  describe('longer samples', () => {
    const long: Sample = { ids: [1, 2, 3, 4, 5, 6], labels: [-100, -100, 3, 4, -100, 6], source: 7 }
    it('are refused by name', () => {
      expect(() => packSamples([sample([1], 0), long], { maxLength: 4, name: 'train.jsonl' })).toThrow(
        'train.jsonl[7]: given 6 tokens; expected at most 4; shorten it, or set overlong to keep-start, keep-end or split',
      )
      expect(packSamples([long], { maxLength: 6 }).report).toMatchObject({ truncated: 0, rows: 1, fill: 1 })
    })
    it('lose their end or start when told to, and the report says what', () => {
      const cut = (overlong: 'keep-start' | 'keep-end') =>
        packSamples([sample([8, 9], 0), long], { maxLength: 4, overlong, shuffle: false })
      expect(cut('keep-start').rows[0]).toMatchObject({ ids: [1, 2, 3, 4], labels: [-100, -100, 3, 4] })
      expect(cut('keep-start').report).toMatchObject({ truncated: 1, split: 0, lostTokens: 2, lostTargets: 1 })
      expect(cut('keep-end').rows[0]).toMatchObject({ ids: [3, 4, 5, 6], labels: [-100, 4, -100, 6] })
      expect(cut('keep-end').report).toMatchObject({ truncated: 1, split: 0, lostTokens: 2, lostTargets: 1 })
      expect(() => packSamples([long], { maxLength: 2, overlong: 'keep-start' })).toThrow(
        'rows[7]: given no token to learn in the 2 that are kept; expected at least one',
      )
    })
    it('are split when told to: what comes first after a cut is not learnt', () => {
      const { rows, report } = packSamples([long], { maxLength: 2, overlong: 'split', shuffle: false })
      expect(rows.map(({ labels }) => labels)).toEqual([
        [-100, -100],
        [-100, 4],
        [-100, 6],
      ])
      expect(report).toMatchObject({ truncated: 0, split: 1, documents: 3, lostTokens: 0, lostTargets: 1 })
    })
  })

  it('counts a sample that is listed twice as two', () => {
    const twice = [sample([1, 2], 0), sample([1, 2], 0)]
    expect(packSamples([twice[0]!, twice[0]!], { maxLength: 4 }).report).toEqual(
      packSamples(twice, { maxLength: 4 }).report,
    )
  })

  it.each([
    [[], { maxLength: 4 }, /^rows: given none; expected at least one sample/],
    [[sample([], 3)], { maxLength: 4 }, /^rows\[3\]: given 0 ids and 0 labels; expected at least one id/],
    [[{ ids: [1, 2], labels: [1], source: 0 }], { maxLength: 4 }, /^rows\[0\]: given 2 ids and 1 labels/],
    [many, { maxLength: 1 }, /^maxLength: given 1; expected a whole number ≥ 2/],
    [many, { maxLength: Number.NaN }, /^maxLength: given NaN/],
    [many, { maxLength: 64, epoch: -1 }, /^epoch: given -1/],
    [many, { maxLength: 64, seed: 0.5 }, /^seed: given 0.5/],
    [many, { maxLength: 64, strategy: 'first-fit' }, /^strategy: given first-fit; expected one of best-fit, wrapped/],
    [many, { maxLength: 64, overlong: 'drop' }, /^overlong: given drop; expected one of error, keep-start/],
    [many, { maxLength: 64, overlong: 'split', strategy: 'wrapped' }, /^overlong: given split, with strategy wrapped/],
  ] as const)('refuses %#', (samples, options, message) => {
    expect(() => packSamples(samples, options as PackOptions)).toThrow(message)
  })

  it('fills the rows of log-normal lengths', () => {
    const { report } = packSamples(samplesOf(lengthsOf(10_000, 64, 2)), { maxLength: 512 })
    expect(report.fill).toBeGreaterThan(0.99)
  })
})

describe('collate of packed rows', () => {
  const { rows } = packSamples(samplesOf([5, 4, 3, 2, 2]), { maxLength: 6, shuffle: false })
  it.each(['right', 'left'] as const)('pads on the %s with tokens that none sees', (side) => {
    const batch = collate(rows, { padId: 9, side })
    rows.forEach((row, b) => {
      const own = (line: readonly number[]): number[] => line.filter((_, t) => batch.mask[b]![t] === 1)
      expect(own(batch.ids[b]!)).toEqual(row.ids)
      expect(own(batch.labels[b]!)).toEqual(row.labels)
      expect(own(batch.positions![b]!)).toEqual(row.positions)
      expect(own(batch.segments![b]!)).toEqual(row.segments)
      const gap = batch.mask[b]!.flatMap((m, t) =>
        m === 1 ? [] : [[batch.ids[b]![t], batch.labels[b]![t], batch.positions![b]![t], batch.segments![b]![t]]],
      )
      expect(gap).toEqual(new Array(6 - row.ids.length).fill([9, -100, 0, -2]))
    })
  })
  it('takes plain samples beside them, and leaves a batch of these alone', () => {
    const plain = samplesOf([3])[0]!
    const batch = collate([rows[0]!, plain], { padId: 0 })
    expect(batch.positions![1]).toEqual([0, 1, 2, ...new Array(rows[0]!.ids.length - 3).fill(0)])
    expect(batch.segments![1]).toEqual([0, 0, 0, ...new Array(rows[0]!.ids.length - 3).fill(-2)])
    expect(Object.keys(collate([plain], { padId: 0 }))).toEqual(['ids', 'mask', 'labels'])
  })
})
