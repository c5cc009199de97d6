import type { Json } from '@graftjs/files'
import { GraftError } from '@graftjs/tensor/error'
import type { LlamaConfig } from './llama.ts'

type JsonObject = { readonly [key: string]: Json }

/** The architecture that a config.json of transformers describes. */
export const llamaFromJson = (json: JsonObject, file: string): LlamaConfig => {
  const type = json.model_type
  if (type !== 'llama')
    throw new GraftError({
      code: 'unknown-architecture',
      culprit: file,
      given: `model_type ${JSON.stringify(type ?? null)}`,
      expected: 'llama',
    })
  const read = reader(json, file)
  const heads = read.number('num_attention_heads')
  const hidden = read.number('hidden_size')
  // transformers 5 keeps rotary settings in rope_parameters, earlier versions beside the rest.
  const rope = { ...(json.rope_scaling as JsonObject | null), ...(json.rope_parameters as JsonObject | null) }
  const kind = rope.rope_type ?? rope.type ?? 'default'
  if (kind !== 'default')
    throw new GraftError({
      code: 'unsupported-option',
      culprit: `${file}: rope_type`,
      given: JSON.stringify(kind),
      expected: '"default"',
    })
  for (const key of ['attention_bias', 'mlp_bias'])
    if (json[key])
      throw new GraftError({ code: 'unsupported-option', culprit: `${file}: ${key}`, given: 'true', expected: 'false' })
  if ((json.hidden_act ?? 'silu') !== 'silu')
    throw new GraftError({
      code: 'unsupported-option',
      culprit: `${file}: hidden_act`,
      given: JSON.stringify(json.hidden_act),
      expected: '"silu"',
    })
  return {
    vocabSize: read.number('vocab_size'),
    hiddenSize: hidden,
    intermediateSize: read.number('intermediate_size'),
    numHiddenLayers: read.number('num_hidden_layers'),
    numAttentionHeads: heads,
    numKeyValueHeads: read.number('num_key_value_heads', heads),
    headDim: read.number('head_dim', hidden / heads),
    rmsNormEps: read.number('rms_norm_eps', 1e-6),
    ropeTheta: typeof rope.rope_theta === 'number' ? rope.rope_theta : read.number('rope_theta', 10000),
    maxPositionEmbeddings: read.number('max_position_embeddings', 2048),
    tieWordEmbeddings: json.tie_word_embeddings === true,
  }
}

/** The same from a GGUF's metadata. A tied model stores no output matrix. */
export const llamaFromGguf = (
  metadata: ReadonlyMap<string, unknown>,
  tied: boolean,
  vocabRows: number,
  file: string,
): LlamaConfig => {
  const type = metadata.get('general.architecture')
  if (type !== 'llama')
    throw new GraftError({
      code: 'unknown-architecture',
      culprit: file,
      given: `general.architecture ${String(type)}`,
      expected: 'llama',
    })
  const read = reader(Object.fromEntries(metadata) as JsonObject, file)
  if (metadata.has('llama.rope.scaling.type') && metadata.get('llama.rope.scaling.type') !== 'none')
    throw new GraftError({
      code: 'unsupported-option',
      culprit: `${file}: llama.rope.scaling.type`,
      given: String(metadata.get('llama.rope.scaling.type')),
      expected: 'none',
    })
  const heads = read.number('llama.attention.head_count')
  const hidden = read.number('llama.embedding_length')
  return {
    vocabSize: vocabRows,
    hiddenSize: hidden,
    intermediateSize: read.number('llama.feed_forward_length'),
    numHiddenLayers: read.number('llama.block_count'),
    numAttentionHeads: heads,
    numKeyValueHeads: read.number('llama.attention.head_count_kv', heads),
    headDim: read.number('llama.attention.key_length', read.number('llama.rope.dimension_count', hidden / heads)),
    rmsNormEps: read.number('llama.attention.layer_norm_rms_epsilon'),
    ropeTheta: read.number('llama.rope.freq_base', 10000),
    maxPositionEmbeddings: read.number('llama.context_length'),
    tieWordEmbeddings: tied,
  }
}

const reader = (json: JsonObject, file: string): { number(key: string, absent?: number): number } => ({
  number: (key, absent) => {
    const value = json[key] ?? absent
    if (typeof value === 'number' && Number.isFinite(value) && value > 0) return value
    throw new GraftError({
      code: 'bad-file',
      culprit: `${file}: ${key}`,
      given: value === undefined ? 'nothing' : JSON.stringify(value),
      expected: 'a number above 0',
    })
  },
})
