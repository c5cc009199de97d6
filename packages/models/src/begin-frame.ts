import type { Batch, Call, Frame } from '@graftjs/core'
import { type Tensor, tensor } from '@graftjs/tensor'
import { GraftError } from '@graftjs/tensor/error'

interface Limits {
  readonly vocabSize: number
  readonly maxPositionEmbeddings: number
}

/** Checks the rows and makes the frame's tensors; counts them in the cache. */
export const beginFrame = (batch: Batch, { vocabSize, maxPositionEmbeddings }: Limits, call: Call = {}): Frame => {
  const { ids, mask } = batch
  const shape = shapeOf('ids', ids)
  const past = call.cache?.length ?? 0
  checkIds(ids, vocabSize)
  const positions = batch.positions ?? ids.map((row, b) => countPositions(row, past, mask?.[b]))
  const segments = batch.segments ?? ids.map((row, b) => row.map((_, t) => (mask && !mask[b]![t] ? -2 : 0)))
  for (const [name, rows] of Object.entries({ mask: mask ?? ids, positions, segments })) sameShape(name, rows, shape)
  const span = 1 + positions.reduce((most, row) => row.reduce((a, p) => Math.max(a, p), most), 0)
  if (span > maxPositionEmbeddings) throw tooLong(span, maxPositionEmbeddings)
  const rows = (values: readonly (readonly number[])[]) => tensor(Int32Array.from(values.flat()), shape, 'int32')
  call.cache?.advance(shape[1])
  return {
    ids: rows(ids),
    positions: rows(positions),
    segments: rows(segments),
    span,
    ...(batch.tasks && { task: taskIds(batch.tasks, shape[0]) }),
  }
}

export const tooLong = (span: number, most: number): GraftError =>
  new GraftError({
    code: 'too-long',
    culprit: 'ids',
    given: `a row of ${span} tokens, virtual ones counted`,
    expected: `at most ${most}, the context of this model`,
  })

const taskIds = (tasks: readonly number[], batch: number): Tensor => {
  if (tasks.length === batch && tasks.every((t) => Number.isInteger(t) && t >= 0))
    return tensor(Int32Array.from(tasks), [batch], 'int32')
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

const shapeOf = (name: string, rows: readonly (readonly number[])[]): [number, number] => {
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

const sameShape = (
  name: string,
  rows: readonly (readonly number[])[],
  [batch, length]: readonly [number, number],
): void => {
  const odd = rows.findIndex((row) => row.length !== length)
  if (rows.length === batch && odd < 0) return
  throw new GraftError({
    code: 'bad-batch',
    culprit: name,
    given: odd < 0 ? `${rows.length} rows` : `row ${odd} of length ${rows[odd]!.length}`,
    expected: `${batch} rows of length ${length}: pad them and give a mask`,
  })
}

const checkIds = (ids: Batch['ids'], vocabSize: number): void => {
  for (const [b, row] of ids.entries()) {
    const t = row.findIndex((id) => !Number.isInteger(id) || id < 0 || id >= vocabSize)
    if (t < 0) continue
    throw new GraftError({
      code: 'bad-batch',
      culprit: `ids[${b}][${t}]`,
      given: String(row[t]),
      expected: `a token id of 0 … ${vocabSize - 1}`,
    })
  }
}
