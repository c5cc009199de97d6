import type { Batch } from '@graftjs/core'
import { GraftError } from '@graftjs/tensor/error'
import { IGNORED, type Sample } from './encode-examples.ts'
import type { PackedRow, Row } from './pack-samples.ts'

/** A batch that has everything training asks for. */
export type LabelledBatch = Required<Pick<Batch, 'ids' | 'mask' | 'labels'>> &
  Pick<Batch, 'positions' | 'segments' | 'tokenTypes'>

export interface CollateOptions {
  /** Fills short rows. It is masked and never learnt, so any id of the vocabulary does. */
  readonly padId: number
  /** Where the padding goes. Default right. */
  readonly side?: 'right' | 'left'
}

/** Samples, or packed rows, as rows of one length. */
export const collate = (rows: readonly Row[], { padId, side = 'right' }: CollateOptions): LabelledBatch => {
  if (rows.length === 0)
    throw new GraftError({ code: 'bad-batch', culprit: 'samples', given: 'none', expected: 'at least one' })
  const length = Math.max(...rows.map(({ ids }) => ids.length))
  const fill = (row: readonly number[], value: number): number[] => {
    const gap = new Array<number>(length - row.length).fill(value)
    return side === 'left' ? [...gap, ...row] : [...row, ...gap]
  }
  return {
    ids: rows.map(({ ids }) => fill(ids, padId)),
    mask: rows.map(({ ids }) => fill(new Array<number>(ids.length).fill(1), 0)),
    labels: labelsOf(rows, (labels) => fill(labels, IGNORED)),
    ...(rows.some(hasTypes) && {
      tokenTypes: rows.map((row) => fill(hasTypes(row) ? row.tokenTypes : row.ids.map(() => 0), 0)),
    }),
    // Of rows that hold one document each the model counts these itself, from the mask.
    ...(rows.some(isPacked) && {
      positions: rows.map((row) => fill(isPacked(row) ? row.positions : row.ids.map((_, t) => t), 0)),
      segments: rows.map((row) => fill(isPacked(row) ? row.segments : row.ids.map(() => 0), NOBODY)),
    }),
  }
}

/** Padded as the ids are, where each id has a label; else labels are of the row, or another text, and begin at the left. */
const labelsOf = (rows: readonly Row[], fill: (labels: readonly number[]) => number[]): number[][] => {
  if (rows.every(({ ids, labels }) => ids.length === labels.length)) return rows.map(({ labels }) => fill(labels))
  const length = Math.max(...rows.map(({ labels }) => labels.length))
  return rows.map(({ labels }) => [...labels, ...new Array<number>(length - labels.length).fill(IGNORED)])
}

const hasTypes = (row: Row): row is Sample & Required<Pick<Sample, 'tokenTypes'>> =>
  'tokenTypes' in row && row.tokenTypes !== undefined

/** The segment that no token sees. */
const NOBODY = -2

const isPacked = (row: Row): row is PackedRow => 'segments' in row

/**
 * The labels that the loss of `batch` is about. Where a token is told from those before it (`shift` 1, a causal model's), the
 * first column is told from nothing and never counts; give `model.labelShift`.
 */
export const countTargets = ({ labels = [] }: Batch, shift: 0 | 1 = 1): number =>
  labels.reduce((count, row) => count + row.slice(shift).filter((label) => label !== IGNORED).length, 0)
