import type { Batch, Model } from '@graftjs/core'
import { tinyDecoder } from '../models/decoder.ts'
import { tinyEncoder } from '../models/encoder.ts'
import { tinyEncoderDecoder } from '../models/encoder-decoder.ts'

export type LabelledBatch = Batch & Required<Pick<Batch, 'labels'>>

/** A model to try a method on, and rows that fit it. */
export interface Bed {
  readonly name: 'decoder' | 'encoder-decoder' | 'encoder'
  /** Grouped heads and rectangular matrices, or T5's relative bias and cross-attention. `layers` in all, half of them an encoder's where there is one. */
  open(layers?: number): Model
  /** Two rows of different lengths and tasks, padded on the right; some labels are not learnt. */
  readonly batch: LabelledBatch
  /** What is generated from: one row, no labels. */
  readonly text: Batch
  /** What a decoder has generated from `text` when the cached run is compared. */
  readonly continuation: readonly number[]
}

const tasks = [2, 0]

export const decoderBed: Bed = {
  name: 'decoder',
  open: (layers = 2) => tinyDecoder({ layers }),
  batch: {
    ids: [
      [5, 9, 2, 14, 8, 21, 3],
      [7, 1, 19, 4, 30, 0, 0],
    ],
    mask: [
      [1, 1, 1, 1, 1, 1, 1],
      [1, 1, 1, 1, 1, 0, 0],
    ],
    labels: [
      [-100, -100, 2, 14, 8, 21, 3],
      [-100, 1, 19, 4, 30, -100, -100],
    ],
    tasks,
  },
  text: { ids: [[5, 9, 2, 14, 8]], tasks: [1] },
  continuation: [21, 3, 17, 6],
}

export const encoderDecoderBed: Bed = {
  name: 'encoder-decoder',
  open: (layers = 4) => tinyEncoderDecoder({ numLayers: layers / 2, numDecoderLayers: layers / 2, denseActFn: 'silu' }),
  batch: {
    ids: [
      [5, 9, 2, 14, 8, 21],
      [7, 1, 19, 4, 0, 0],
    ],
    mask: [
      [1, 1, 1, 1, 1, 1],
      [1, 1, 1, 1, 0, 0],
    ],
    labels: [
      [11, 3, -100, 26],
      [6, 17, 1, -100],
    ],
    decoderIds: [
      [0, 11, 3, 9],
      [0, 6, 17, 0],
    ],
    decoderMask: [
      [1, 1, 1, 1],
      [1, 1, 1, 0],
    ],
    tasks,
  },
  text: { ids: [[5, 9, 2, 14, 8]], decoderIds: [[0]], tasks: [1] },
  continuation: [21, 3, 17, 6],
}

/** Of the beds that every method is tried on it is none: it has no cache, so `cached` is not for it. */
export const encoderBed: Bed = {
  name: 'encoder',
  open: (layers = 2) => tinyEncoder({ numHiddenLayers: layers }),
  batch: {
    ...decoderBed.batch,
    labels: [
      [-100, -100, 2, 14, 8, 21, 3],
      [16, 1, 19, 4, 30, -100, -100],
    ],
  },
  text: decoderBed.text,
  continuation: decoderBed.continuation,
}

export const beds: readonly Bed[] = [decoderBed, encoderDecoderBed]
