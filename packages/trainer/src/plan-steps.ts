import {
  batches,
  type MixOptions,
  mixSets,
  type NamedSet,
  type PackOptions,
  type PackReport,
  packSamples,
  type Row,
  type Sample,
} from '@graftjs/data'
import { GraftError } from '@graftjs/tensor/error'

/** Rows to learn from: one set, or several that are mixed. */
export type TrainData = readonly Sample[] | readonly NamedSet<Sample>[]

export interface PlanOptions {
  /** Optimiser steps; wins over `epochs`. */
  readonly steps?: number
  /** Default 1. A part of an epoch counts; at least one step is made. */
  readonly epochs?: number
  /** Rows a micro-batch. Default 8. */
  readonly batchSize?: number
  /** Micro-batches a step. Their losses are summed and divided by all their supervised tokens. Default 1. */
  readonly accumulate?: number
  /** Of the order of the rows and of dropout. Default 0. */
  readonly seed?: number
  /** Several documents in one row, none of which sees another. */
  readonly packing?: Omit<PackOptions, 'seed' | 'epoch' | 'shuffle'>
  /** Rows of like length in a batch, so that little is padded. Default false. */
  readonly bucketing?: boolean
  /** How several sets are mixed. Default proportional. */
  readonly mixing?: Omit<MixOptions, 'seed' | 'epoch'>
}

export interface StepRows {
  readonly epoch: number
  /** Rows by micro-batch. */
  readonly micro: readonly (readonly Row[])[]
}

export interface StepPlan {
  readonly steps: number
  /** Of step 1, 2, …: a function of the data, the options and the step alone. */
  rowsOf(step: number): StepRows
  /** What packing made of the first epoch. */
  readonly packed?: PackReport
}

/** Which rows each step learns from, with nothing made before it is asked for. */
export const planSteps = (data: TrainData, options: PlanOptions): StepPlan => {
  const { accumulate = 1, epochs = 1 } = options
  const made = lastOf((epoch) => epochRows(data, options, epoch))
  const stepsIn = stepsOf(data, options, made)
  const starts = [0]
  /** Steps before `epoch`. */
  const startOf = (epoch: number): number => {
    for (let e = starts.length; e <= epoch; e++) starts[e] = starts[e - 1]! + stepsIn(e - 1)
    return starts[epoch]!
  }
  const whole = Math.floor(epochs)
  const part = epochs - whole
  const counted = (): number => Math.round(startOf(whole) + (part > 0 ? part * stepsIn(whole) : 0))
  const { packed } = made(0)
  return {
    steps: options.steps ?? Math.max(1, counted()),
    rowsOf: (step) => {
      let epoch = Math.max(
        0,
        starts.findLastIndex((start) => start < step),
      )
      while (startOf(epoch + 1) < step) epoch++
      const at = (step - 1 - startOf(epoch)) * accumulate
      return { epoch, micro: made(epoch).rows.slice(at, at + accumulate) }
    },
    ...(packed && { packed }),
  }
}

interface EpochRows {
  readonly rows: readonly (readonly Row[])[]
  readonly packed?: PackReport
}

const epochRows = (data: TrainData, options: PlanOptions, epoch: number): EpochRows => {
  const { batchSize = 8, seed = 0, packing, bucketing = false, mixing = { strategy: 'proportional' } } = options
  const samples = isMixed(data) ? mixSets(data, { ...mixing, seed, epoch }).samples : data
  if (!packing) return { rows: batches<Row>(samples, { batchSize, seed, epoch, bucketing }) }
  const { rows, report } = packSamples(samples, { ...packing, seed, epoch })
  return { rows: batches<Row>(rows, { batchSize, seed, epoch, bucketing }), packed: report }
}

/** Only mixtures that are packed fill another number of rows in each epoch. */
const stepsOf = (
  data: TrainData,
  { accumulate = 1, packing }: PlanOptions,
  made: (epoch: number) => EpochRows,
): ((epoch: number) => number) => {
  const count = (epoch: number): number => Math.ceil(made(epoch).rows.length / accumulate)
  const first = count(0)
  return packing && isMixed(data) ? count : () => first
}

export const isMixed = (data: TrainData): data is readonly NamedSet<Sample>[] =>
  data.length > 0 && 'samples' in data[0]!

/** Remembers what was made last: steps of one epoch follow each other. */
const lastOf = <T>(make: (key: number) => T): ((key: number) => T) => {
  let last: { readonly key: number; readonly value: T } | undefined
  return (key) => {
    if (last?.key !== key) last = { key, value: make(key) }
    return last.value
  }
}

/** All samples, of whichever set. */
export const samplesOf = (data: TrainData): readonly Sample[] =>
  isMixed(data) ? data.flatMap(({ samples }) => samples) : data

export const requireRows = (data: TrainData): void => {
  if (samplesOf(data).length > 0) return
  throw new GraftError({ code: 'no-data', culprit: 'samples', given: 'none', expected: 'at least one' })
}
