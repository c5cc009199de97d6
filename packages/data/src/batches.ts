import { random } from '@graftjs/tensor'
import { GraftError } from '@graftjs/tensor/error'

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
}

/** One epoch of `rows` in batches: a function of (rows, options) and nothing else, so that a run can be taken up in its middle. */
export const batches = <T>(
  rows: readonly T[],
  { batchSize, seed = 0, epoch = 0, shuffle = true, dropLast = false }: BatchesOptions,
): T[][] => {
  if (!Number.isInteger(batchSize) || batchSize < 1)
    throw new GraftError({
      code: 'bad-option',
      culprit: 'batchSize',
      given: String(batchSize),
      expected: 'a whole number ≥ 1',
    })
  const order = shuffle ? shuffled(rows, seed, epoch) : rows
  const count = dropLast ? Math.floor(rows.length / batchSize) : Math.ceil(rows.length / batchSize)
  return Array.from({ length: count }, (_, i) => order.slice(i * batchSize, (i + 1) * batchSize))
}

/** Fisher and Yates. */
const shuffled = <T>(rows: readonly T[], seed: number, epoch: number): T[] => {
  const draw = random(seed, `batches/${epoch}`)
  const order = [...rows]
  for (let i = order.length - 1; i > 0; i--) {
    const j = draw.int(i + 1)
    ;[order[i], order[j]] = [order[j]!, order[i]!]
  }
  return order
}
