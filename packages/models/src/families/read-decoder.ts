import type { JsonObject } from '@graftjs/files'
import { GraftError } from '@graftjs/tensor/error'
import { readConfig } from '../read-config.ts'
import type { LlamaConfig } from './llama.ts'
import { readRope } from './read-rope.ts'

export interface DecoderDefaults {
  readonly maxPositionEmbeddings: number
  readonly headDim?: number
  readonly keyValueHeads?: number
}

/** The keys of config.json that Llama, Mistral, Qwen2 and Qwen3 share. `defaults` are those of the family's class. */
export const readDecoder = (
  json: JsonObject,
  file: string,
  defaults: DecoderDefaults,
): LlamaConfig & { readonly type: string } => {
  const read = readConfig(json, file)
  read.only('hidden_act', 'silu')
  const heads = read.number('num_attention_heads')
  const hidden = read.number('hidden_size')
  const keyValueHeads = json.num_key_value_heads === undefined ? defaults.keyValueHeads : undefined
  return {
    type: String(json.model_type),
    vocabSize: read.number('vocab_size'),
    hiddenSize: hidden,
    intermediateSize: read.number('intermediate_size'),
    numHiddenLayers: read.number('num_hidden_layers'),
    numAttentionHeads: heads,
    numKeyValueHeads: read.number('num_key_value_heads', keyValueHeads ?? heads),
    headDim: read.number('head_dim', defaults.headDim ?? hidden / heads),
    rmsNormEps: read.number('rms_norm_eps', 1e-6),
    ...readRope(json, file, defaults.maxPositionEmbeddings),
    tieWordEmbeddings: read.flag('tie_word_embeddings'),
  }
}

/** The projections of the attention, whose biases go by one key of config.json. */
export const attentionRoles = ['q_proj', 'k_proj', 'v_proj', 'o_proj'] as const
export const mlpRoles = ['gate_proj', 'up_proj', 'down_proj'] as const

/**
 * The window of each layer, null where it sees all: by `layer_types` where it is given, else `slides` says which layers
 * slide. Undefined where none does.
 */
export const readWindows = (
  json: JsonObject,
  file: string,
  layers: number,
  slides: (layer: number) => boolean,
): { windows?: (number | null)[] } => {
  const types = json.layer_types ?? null
  const read = readConfig(json, file)
  const sliding = Array.from({ length: layers }, (_, i) => (types === null ? slides(i) : slidesBy(types, i, file)))
  if (!sliding.includes(true)) return {}
  const size = read.number('sliding_window')
  return { windows: sliding.map((slide) => (slide ? size : null)) }
}

const slidesBy = (types: unknown, layer: number, file: string): boolean => {
  const kind = Array.isArray(types) ? types[layer] : undefined
  if (kind === 'sliding_attention' || kind === 'full_attention') return kind === 'sliding_attention'
  throw new GraftError({
    code: 'unsupported-option',
    culprit: `${file}: layer_types[${layer}]`,
    given: JSON.stringify(kind ?? null),
    expected: '"full_attention" or "sliding_attention" for each layer',
  })
}
