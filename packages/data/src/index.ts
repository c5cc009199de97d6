export { type BatchesOptions, batches, type Sized } from './batches.ts'
export { type CollateOptions, collate, countTargets, type LabelledBatch } from './collate.ts'
export type { Overlong } from './cut-overlong.ts'
export { type Encoded, type EncodeOptions, encodeExamples, IGNORED, type Sample } from './encode-examples.ts'
export { type MixCount, type MixOptions, type Mixture, mixSets, type NamedSet } from './mix-sets.ts'
export {
  type Packed,
  type PackedRow,
  type PackOptions,
  type PackReport,
  packSamples,
  type Row,
} from './pack-samples.ts'
export { type PromptCompletion, promptCompletion } from './prompt-completion.ts'
export { type JsonlOptions, readJsonl } from './read-jsonl.ts'
