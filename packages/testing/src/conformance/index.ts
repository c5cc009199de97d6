export { type Bed, beds, decoderBed, encoderBed, encoderDecoderBed, type LabelledBatch } from './bed.ts'
export {
  type CheckName,
  type ConformanceCase,
  type ConformanceOptions,
  checks,
  conformanceCases,
} from './conformance.ts'
export { type Counts, counted } from './counters.ts'
export { type Gradients, gradientError, gradientsOf, largestDifference, meanLoss } from './measure.ts'
export { peakBytes } from './peak-bytes.ts'
export type { BedNames, Promises } from './promises.ts'
export type { Check, Figures, Subject } from './subject.ts'
