import type { Batch } from '@graftjs/core'
import { GraftError } from '@graftjs/tensor/error'
import { IGNORED, type Sample } from './encode-examples.ts'

/** A batch that has everything training asks for. */
export type LabelledBatch = Required<Pick<Batch, 'ids' | 'mask' | 'labels'>>

export interface CollateOptions {
  /** Fills short rows. It is masked and never learnt, so any id of the vocabulary does. */
  readonly padId: number
  /** Where the padding goes. Default right. */
  readonly side?: 'right' | 'left'
}

/** Samples as rows of one length. */
export const collate = (samples: readonly Sample[], { padId, side = 'right' }: CollateOptions): LabelledBatch => {
  if (samples.length === 0)
    throw new GraftError({ code: 'bad-batch', culprit: 'samples', given: 'none', expected: 'at least one' })
  const length = Math.max(...samples.map(({ ids }) => ids.length))
  const fill = (row: readonly number[], value: number): number[] => {
    const gap = new Array<number>(length - row.length).fill(value)
    return side === 'left' ? [...gap, ...row] : [...row, ...gap]
  }
  return {
    ids: samples.map(({ ids }) => fill(ids, padId)),
    mask: samples.map(({ ids }) => fill(new Array<number>(ids.length).fill(1), 0)),
    labels: samples.map(({ labels }) => fill(labels, IGNORED)),
  }
}

/** The tokens that the loss of `batch` is about. The first column is told from nothing and never counts. */
export const countTargets = ({ labels = [] }: Batch): number =>
  labels.reduce((count, row) => count + row.slice(1).filter((label) => label !== IGNORED).length, 0)
