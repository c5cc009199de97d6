import type { GgufEntry } from '@graftjs/files'
import { GraftError } from '@graftjs/tensor/error'
import type { LlamaConfig } from './families/llama.ts'
import type { ModelConfig } from './family.ts'
import { ropeFrequencies } from './rope-frequencies.ts'

/** `general.architecture` by `model_type`. */
const architectures: Readonly<Record<string, string>> = {
  llama: 'llama',
  mistral: 'llama',
  qwen2: 'qwen2',
  qwen3: 'qwen3',
}

export interface GgufArchitecture {
  readonly metadata: Map<string, GgufEntry>
  /** Llama 3's scaling: what each rotary frequency is divided by, [headDim / 2]. */
  readonly ropeFactors?: Float32Array
}

/**
 * What a GGUF file says about an architecture, by the configuration of a loaded model of `vocabRows` words.
 * Errors: `not-saveable` for a model_type, a rope scaling or a window that has no place in GGUF here.
 */
export const ggufMetadata = (given: ModelConfig, vocabRows: number, file: string): GgufArchitecture => {
  const config = given as LlamaConfig
  const type = config.type ?? 'llama'
  if (!('headDim' in config) || !Object.hasOwn(architectures, type))
    throw refuse(`${file}: model_type`, JSON.stringify(type), Object.keys(architectures).join(', '))
  const arch = architectures[type]!
  const { headDim, numAttentionHeads: heads, numKeyValueHeads } = config
  const u32 = (value: number): GgufEntry => ({ type: 'u32', value })
  const f32 = (value: number): GgufEntry => ({ type: 'f32', value })
  const metadata = new Map<string, GgufEntry>([
    ['general.architecture', { type: 'string', value: arch }],
    ['general.type', { type: 'string', value: 'model' }],
    [`${arch}.vocab_size`, u32(vocabRows)],
    [`${arch}.context_length`, u32(config.maxPositionEmbeddings)],
    [`${arch}.embedding_length`, u32(config.hiddenSize)],
    [`${arch}.block_count`, u32(config.numHiddenLayers)],
    [`${arch}.feed_forward_length`, u32(config.intermediateSize)],
    [`${arch}.attention.head_count`, u32(heads)],
    [`${arch}.attention.head_count_kv`, u32(numKeyValueHeads)],
    [`${arch}.attention.key_length`, u32(headDim)],
    [`${arch}.attention.value_length`, u32(headDim)],
    [`${arch}.attention.layer_norm_rms_epsilon`, f32(config.rmsNormEps)],
    [`${arch}.rope.dimension_count`, u32(headDim)],
    [`${arch}.rope.freq_base`, f32(config.ropeTheta)],
    ...scalingEntries(config, arch, file),
    ...windowEntries(config, arch, file),
  ])
  const ropeFactors = factorsOf(config)
  return { metadata, ...(ropeFactors && { ropeFactors }) }
}

const scalingEntries = ({ ropeScaling }: LlamaConfig, arch: string, file: string): [string, GgufEntry][] => {
  if (ropeScaling?.kind === 'yarn') throw refuse(`${file}: rope_type`, '"yarn"', 'default, linear or llama3')
  if (ropeScaling?.kind !== 'linear') return []
  return [
    [`${arch}.rope.scaling.type`, { type: 'string', value: 'linear' }],
    [`${arch}.rope.scaling.factor`, { type: 'f32', value: ropeScaling.factor }],
  ]
}

/** GGUF has one window for all layers. llama.cpp gives a Mistral none: there its texts may be as long as the window. */
const windowEntries = ({ windows }: LlamaConfig, arch: string, file: string): [string, GgufEntry][] => {
  const [window, ...others] = new Set(windows ?? [null])
  if (others.length > 0)
    throw refuse(
      `${file}: layer_types`,
      'a sliding window in some layers alone',
      'the same window in every layer, or none',
    )
  return typeof window === 'number' ? [[`${arch}.attention.sliding_window`, { type: 'u32', value: window }]] : []
}

const factorsOf = ({ headDim, ropeTheta, ropeScaling }: LlamaConfig): Float32Array | undefined => {
  if (ropeScaling?.kind === 'factors') return Float32Array.from(ropeScaling.factors)
  if (ropeScaling?.kind !== 'llama3') return undefined
  const scaled = ropeFrequencies(headDim, ropeTheta, ropeScaling).inverse
  return ropeFrequencies(headDim, ropeTheta).inverse.map((frequency, i) => frequency / scaled[i]!)
}

const refuse = (culprit: string, given: string, expected: string): GraftError =>
  new GraftError({ code: 'not-saveable', culprit, given, expected: `${expected}, to be written as GGUF` })
