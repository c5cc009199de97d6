export { type BatchesOptions, batches, type Sized } from './batches.ts'
export { type CollateOptions, collate, countTargets, type LabelledBatch } from './collate.ts'
export type { Overlong } from './cut-overlong.ts'
export { describeEncoded } from './describe-encoded.ts'
export {
  type Encoded,
  type EncodeOptions,
  type EncodeSummary,
  encodeExamples,
  IGNORED,
  type Sample,
} from './encode-examples.ts'
export { type Conversation, type Example, example, type Instruction, type PlainText } from './example.ts'
export type { Learn } from './mask-conversation.ts'
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
export { type FileType, type ReadOptions, readRows, tellRows } from './read-rows.ts'
export type { Columns, RowFormat, RowsTold } from './row-format.ts'
export { type Piece, samplePieces } from './sample-pieces.ts'
export { type AnsiOptions, ansiLegend, showAnsi } from './show-ansi.ts'
export { type ShownSet, showHtml } from './show-html.ts'
