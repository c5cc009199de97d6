import type { Batch, Call, Frame, Tokens } from '@graftjs/core'
import { type Tensor, tensor } from '@graftjs/tensor'
import { GraftError } from '@graftjs/tensor/error'

export interface Limits {
  readonly vocabSize: number
  /** None where positions are relative. */
  readonly maxPositionEmbeddings?: number
  /** How many token types there are. Default: none. */
  readonly tokenTypes?: number
}

export type Rows = readonly (readonly number[])[]

/** Rows of tokens as a batch has them. */
export interface TokenRows {
  readonly ids: Rows
  readonly mask?: Rows | undefined
  readonly positions?: Rows | undefined
  readonly segments?: Rows | undefined
  readonly tokenTypes?: Rows | undefined
}

/** Checks the rows and makes the frame's tensors; counts them in the cache. */
export const beginFrame = (batch: Batch, limits: Limits, call: Call = {}): Frame => {
  const tokens = beginTokens(batch, limits, { past: call.cache?.length ?? 0 })
  const [rows, length] = tokens.ids.shape as [number, number]
  call.cache?.advance(length)
  return { ...tokens, ...taskOf(batch, rows) }
}

/** One side of a batch as tensors. `past`: the tokens that earlier calls had; `nameOf`: what errors call each part. */
export const beginTokens = (
  { ids, mask, positions, segments, tokenTypes }: TokenRows,
  { vocabSize, maxPositionEmbeddings = Number.POSITIVE_INFINITY, tokenTypes: typeCount }: Limits,
  { past = 0, nameOf = (part) => part }: { past?: number; nameOf?: (part: keyof TokenRows) => string } = {},
): Tokens => {
  const shape = shapeOf(nameOf('ids'), ids)
  for (const [part, rows] of Object.entries({ mask, positions, segments, tokenTypes }) as [
    keyof TokenRows,
    Rows | undefined,
  ][])
    if (rows) sameShape(nameOf(part), rows, shape)
  wholeNumbers(nameOf('ids'), ids, 0, vocabSize)
  if (positions) wholeNumbers(nameOf('positions'), positions, 0)
  if (segments) wholeNumbers(nameOf('segments'), segments, -2)
  if (tokenTypes) checkTypes(nameOf('tokenTypes'), tokenTypes, typeCount)
  const counted = positions ?? ids.map((row, b) => countPositions(row, past, mask?.[b]))
  const span = 1 + counted.reduce((most, row) => row.reduce((a, p) => Math.max(a, p), most), 0)
  if (span > maxPositionEmbeddings) throw tooLong(span, maxPositionEmbeddings)
  const int32 = (rows: Rows): Tensor => tensor(Int32Array.from(rows.flat()), shape, 'int32')
  return {
    ids: int32(ids),
    positions: int32(counted),
    segments: int32(segments ?? ids.map((row, b) => row.map((_, t) => (mask && !mask[b]![t] ? -2 : 0)))),
    span,
    ...(tokenTypes && { tokenTypes: int32(tokenTypes) }),
  }
}

const checkTypes = (name: string, rows: Rows, count: number | undefined): void => {
  if (count === undefined)
    throw new GraftError({
      code: 'bad-batch',
      culprit: name,
      given: 'token types',
      expected: 'none: this model has none',
    })
  wholeNumbers(name, rows, 0, count, 'a token type')
}

export const tooLong = (span: number, most: number): GraftError =>
  new GraftError({
    code: 'too-long',
    culprit: 'ids',
    given: `a row of ${span} tokens, virtual ones counted`,
    expected: `at most ${most}, the context of this model`,
  })

/** The frame's part that belongs to rows, not to tokens. */
export const taskOf = ({ tasks }: Batch, batch: number): Pick<Frame, 'task'> => {
  if (!tasks) return {}
  if (tasks.length === batch && tasks.every((t) => Number.isInteger(t) && t >= 0))
    return { task: tensor(Int32Array.from(tasks), [batch], 'int32') }
  throw new GraftError({
    code: 'bad-batch',
    culprit: 'tasks',
    given: `[${tasks.slice(0, 8)}]`,
    expected: `a whole number ≥ 0 for each of the ${batch} rows`,
  })
}

/** As transformers' generate does: counted over the tokens that are not padding. */
const countPositions = (row: readonly number[], past: number, mask?: readonly number[]): number[] => {
  let next = past
  return row.map((_, t) => (mask && !mask[t] ? 0 : next++))
}

const shapeOf = (name: string, rows: Rows): [number, number] => {
  const length = rows[0]?.length ?? 0
  if (length === 0)
    throw new GraftError({
      code: 'bad-batch',
      culprit: name,
      given: 'no tokens',
      expected: 'at least one row of at least one id',
    })
  sameShape(name, rows, [rows.length, length])
  return [rows.length, length]
}

const sameShape = (name: string, rows: Rows, [batch, length]: readonly [number, number]): void => {
  const odd = rows.findIndex((row) => row.length !== length)
  if (rows.length === batch && odd < 0) return
  throw new GraftError({
    code: 'bad-batch',
    culprit: name,
    given: odd < 0 ? `${rows.length} rows` : `row ${odd} of length ${rows[odd]!.length}`,
    expected: `${batch} rows of length ${length}: pad them and give a mask`,
  })
}

/** Every number is whole, at least `least` and below `vocabSize`, if that is given. */
const wholeNumbers = (
  name: string,
  rows: Rows,
  least: number,
  vocabSize = Number.POSITIVE_INFINITY,
  what = 'a token id',
): void => {
  for (const [b, row] of rows.entries()) {
    const t = row.findIndex((n) => !Number.isInteger(n) || n < least || n >= vocabSize)
    if (t < 0) continue
    throw new GraftError({
      code: 'bad-batch',
      culprit: `${name}[${b}][${t}]`,
      given: String(row[t]),
      expected: Number.isFinite(vocabSize) ? `${what} of 0 … ${vocabSize - 1}` : `a whole number ≥ ${least}`,
    })
  }
}
