import { GraftError } from '@graftjs/tensor/error'
import { bestFit } from './best-fit.ts'
import { checkChoice } from './check-choice.ts'
import { checkWhole } from './check-whole.ts'
import { cutOverlong, type Overlong, targetsOf } from './cut-overlong.ts'
import { IGNORED, type Sample } from './encode-examples.ts'
import { shuffled } from './shuffled.ts'
import { wrap } from './wrap.ts'

/** Several documents in one row. `collate` makes batches of them, as of samples. */
export interface PackedRow {
  readonly ids: readonly number[]
  /** -100 at the first token of each document: it is not told from the document before it. */
  readonly labels: readonly number[]
  /** Counted from 0 in each document. */
  readonly positions: readonly number[]
  /** The number of each token's document in this row, from 0. */
  readonly segments: readonly number[]
  /** Tokens of each document. */
  readonly lengths: readonly number[]
  /** The `source` of each document's sample. */
  readonly sources: readonly number[]
}

/** What batches are made of. */
export type Row = Sample | PackedRow

export interface PackOptions {
  /** Tokens a row may have: at most the model's context. */
  readonly maxLength: number
  /**
   * `best-fit` (the default) keeps documents whole: longest first, each into the row that it fills best. `wrapped` cuts
   * documents wherever a row is full; the parts are documents of their own and do not see each other.
   */
  readonly strategy?: 'best-fit' | 'wrapped'
  /** What `best-fit` does with a longer sample: refuse it (the default), cut its end or start off, or split it into documents. */
  readonly overlong?: Overlong
  /** Default 0. */
  readonly seed?: number
  /** Each one has an order of its own. Default 0. */
  readonly epoch?: number
  /** The order of the rows, and which of the documents of one length share a row. Default true. */
  readonly shuffle?: boolean
  /** What the samples are called in errors, such as their file. Default `rows`. */
  readonly name?: string
}

/** With `best-fit` it is the same in every epoch. */
export interface PackReport {
  readonly rows: number
  readonly documents: number
  /** Tokens by what the rows could hold, of 0 … 1. */
  readonly fill: number
  /** Documents a row. */
  readonly perRow: { readonly least: number; readonly mean: number; readonly most: number }
  /** Samples whose start or end was cut off. */
  readonly truncated: number
  /** Samples that became several documents. */
  readonly split: number
  /** Tokens that are in no row. */
  readonly lostTokens: number
  /** Tokens that were to be learnt and are not: cut off, or first after a cut. */
  readonly lostTargets: number
}

export interface Packed {
  readonly rows: PackedRow[]
  readonly report: PackReport
}

/** Puts samples together into rows of at most `maxLength` tokens: a function of (samples, options) and nothing else. */
export const packSamples = (samples: readonly Sample[], options: PackOptions): Packed => {
  const { maxLength, seed = 0, epoch = 0, shuffle = true } = options
  checkOptions(options)
  const { name = 'rows' } = options
  if (samples.length === 0)
    throw new GraftError({ code: 'no-data', culprit: name, given: 'none', expected: 'at least one sample' })
  for (const sample of samples) checkSample(sample, `${name}[${sample.source}]`)
  const mixed = <T>(list: readonly T[], path: string): T[] =>
    shuffle ? shuffled(list, seed, `packing/${epoch}/${path}`) : [...list]
  const groups =
    options.strategy === 'wrapped'
      ? wrap(mixed(samples, 'documents'), maxLength)
      : fit(mixed(cutAll(samples, options, name), 'documents'), maxLength)
  return { rows: mixed(groups.map(toRow), 'rows'), report: reportOf(samples, groups, options) }
}

const cutAll = (samples: readonly Sample[], { maxLength, overlong = 'error' }: PackOptions, name: string): Sample[] =>
  samples.flatMap((sample) => cutOverlong(sample, maxLength, overlong, `${name}[${sample.source}]`))

const fit = (pieces: readonly Sample[], maxLength: number): Sample[][] =>
  bestFit(
    pieces.map(({ ids }) => ids.length),
    maxLength,
  ).map((row) => row.map((i) => pieces[i]!))

const toRow = (documents: readonly Sample[]): PackedRow => ({
  ids: documents.flatMap(({ ids }) => ids),
  labels: documents.flatMap(({ labels }) => labels.map((label, t) => (t === 0 ? IGNORED : label))),
  positions: documents.flatMap(({ ids }) => ids.map((_, t) => t)),
  segments: documents.flatMap(({ ids }, i) => ids.map(() => i)),
  lengths: documents.map(({ ids }) => ids.length),
  sources: documents.map(({ source }) => source),
})

const reportOf = (
  samples: readonly Sample[],
  groups: readonly (readonly Sample[])[],
  { maxLength, strategy, overlong }: PackOptions,
): PackReport => {
  const pieces = groups.flat()
  const tokens = sum(pieces.map(({ ids }) => ids.length))
  const counts = groups.map((group) => group.length)
  // What was not cut is the very object that came in (one that came in twice counts twice).
  const known = new Set(samples)
  const cut = samples.length - pieces.filter((piece) => known.has(piece)).length
  const splits = strategy === 'wrapped' || overlong === 'split'
  const byEnd = (count: (a: number, b: number) => number): number => counts.reduce((a, b) => count(a, b))
  return {
    rows: groups.length,
    documents: pieces.length,
    fill: tokens / (groups.length * maxLength),
    perRow: { least: byEnd(Math.min), mean: pieces.length / groups.length, most: byEnd(Math.max) },
    truncated: splits ? 0 : cut,
    split: splits ? cut : 0,
    lostTokens: sum(samples.map(({ ids }) => ids.length)) - tokens,
    lostTargets: sum(samples.map(targetsOf)) - sum(pieces.map(targetsOf)),
  }
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, n) => total + n, 0)

const checkOptions = (options: PackOptions): void => {
  const { maxLength, strategy = 'best-fit', overlong, epoch = 0 } = options
  checkWhole('maxLength', maxLength, 2)
  checkWhole('epoch', epoch, 0)
  checkChoice('strategy', strategy, ['best-fit', 'wrapped'])
  if (overlong === undefined) return
  checkChoice('overlong', overlong, ['error', 'keep-start', 'keep-end', 'split'])
  if (strategy === 'wrapped')
    throw new GraftError({
      code: 'bad-option',
      culprit: 'overlong',
      given: `${overlong}, with strategy wrapped`,
      expected: 'nothing: wrapped splits every document that does not fit; or strategy best-fit',
    })
}

const checkSample = ({ ids, labels }: Sample, culprit: string): void => {
  if (ids.length > 0 && labels.length === ids.length) return
  throw new GraftError({
    code: 'bad-sample',
    culprit,
    given: `${ids.length} ids and ${labels.length} labels`,
    expected: 'at least one id, and a label for each',
  })
}
