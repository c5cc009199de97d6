import { GraftError } from '@graftjs/tensor/error'
import { checkWhole } from './check-whole.ts'
import { shuffled } from './shuffled.ts'

/** A row whose length can be told: a sample or a packed row. */
export interface Sized {
  readonly ids: readonly number[]
}

export interface BatchesOptions {
  readonly batchSize: number
  /** Default 0. */
  readonly seed?: number
  /** Each one has an order of its own. Default 0. */
  readonly epoch?: number
  /** Default true. */
  readonly shuffle?: boolean
  /** Leaves a last batch out that is not full. Default false. */
  readonly dropLast?: boolean
  /** Puts rows of like length together, so that little is padded; wants rows that have `ids`. Default false. */
  readonly bucketing?: boolean
}

interface Batches {
  <T extends Sized>(rows: readonly T[], options: BatchesOptions): T[][]
  <T>(rows: readonly T[], options: BatchesOptions & { readonly bucketing?: false }): T[][]
}

/** One epoch of `rows` in batches: a function of (rows, options) and nothing else, so that a run can be taken up in its middle. */
export const batches: Batches = <T>(
  rows: readonly T[],
  { batchSize, seed = 0, epoch = 0, shuffle = true, dropLast = false, bucketing = false }: BatchesOptions,
): T[][] => {
  checkWhole('batchSize', batchSize, 1)
  checkWhole('epoch', epoch, 0)
  const path = `batches/${epoch}`
  const order = shuffle ? shuffled(rows, seed, path) : rows
  // What does not fill a batch is taken off before lengths are looked at: which rows it has is chance, never their length.
  const full = order.length - (order.length % batchSize)
  const rest = dropLast || full === order.length ? [] : [order.slice(full)]
  if (!bucketing) return [...chunks(order.slice(0, full), batchSize), ...rest]
  const lengths = lengthsOf(rows)
  const like = chunks(order.slice(0, full), batchSize * POOL).flatMap((pool) =>
    chunks(
      pool.sort((a, b) => lengths.get(b)! - lengths.get(a)!),
      batchSize,
    ),
  )
  return [...(shuffle ? shuffled(like, seed, `${path}/buckets`) : like), ...rest]
}

/** Lengths are sorted within so many batches: enough to pad little, few enough that rows meet other rows in every epoch. */
const POOL = 50

const chunks = <T>(rows: readonly T[], size: number): T[][] =>
  Array.from({ length: Math.ceil(rows.length / size) }, (_, i) => rows.slice(i * size, (i + 1) * size))

const lengthsOf = <T>(rows: readonly T[]): ReadonlyMap<T, number> =>
  new Map(
    rows.map((row, i) => {
      const ids = (row as Partial<Sized> | null)?.ids
      if (Array.isArray(ids)) return [row, ids.length]
      throw new GraftError({
        code: 'bad-option',
        culprit: `rows[${i}]`,
        given: 'a row without ids, and bucketing: true',
        expected: 'rows whose ids can be counted, or bucketing: false',
      })
    }),
  )
