export {
  hotSwap,
  type Kinded,
  type LoadAdapterOptions,
  loadAdapter,
  type SaveAdapterOptions,
  saveAdapter,
} from './adapter.ts'
export { type Beam, type BeamSearchOptions, beamSearch } from './beam-search.ts'
export { beginEncoderDecoder, type EncoderDecoderLimits } from './begin-encoder-decoder.ts'
export { beginFrame, beginTokens, type Limits, type TokenRows } from './begin-frame.ts'
export { createCache, type KeyValueCache } from './cache.ts'
export { type EmbedOptions, embedRows, embedTexts } from './embed-rows.ts'
export { type BertConfig, bert } from './families/bert.ts'
export { type GemmaConfig, gemma } from './families/gemma.ts'
export { type Gpt2Config, gpt2 } from './families/gpt2.ts'
export { type LlamaConfig, llama } from './families/llama.ts'
export { type T5Config, t5 } from './families/t5.ts'
export { ggufRole } from './families.ts'
export type { Family, ModelConfig } from './family.ts'
export { type FetchOptions, fetchModel, isHubId } from './fetch-model.ts'
export { type GenerateOptions, generate } from './generate.ts'
export type { HeadConfig } from './heads/head-config.ts'
export type { Pooling, SentenceConfig } from './heads/read-sentence.ts'
export { type Task, type TaskFacts, tasks } from './heads/tasks.ts'
export { type LoadedModel, type LoadOptions, loadModel } from './load-model.ts'
export { type ModelfileOptions, modelfile } from './modelfile.ts'
export { labelRows, nllFromLogits } from './nll.ts'
export { padRows } from './pad.ts'
export { replacedSource } from './replaced-source.ts'
export type { SampleOptions } from './sample.ts'
export { type SaveGgufOptions, saveGguf } from './save-gguf.ts'
export { type SaveDtype, type SaveModelOptions, saveModel } from './save-model.ts'
export { embed, embeddingSite, linearSite, normed, normSite, owning, placeAt, project } from './sites.ts'
export { type ServedTask, tasksOf } from './tasks-of.ts'
export { type TextCache, textCache } from './text-cache.ts'
export { type VectorWeight, vectorOf, vectorWeight } from './vector-weight.ts'
export type { WeightSource } from './weight-source.ts'
