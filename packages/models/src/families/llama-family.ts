import type { JsonObject } from '@graftjs/files'
import { GraftError } from '@graftjs/tensor/error'
import type { Family, GgufFacts } from '../family.ts'
import { readConfig } from '../read-config.ts'
import { type LlamaConfig, llama } from './llama.ts'

export const llamaFamily: Family<LlamaConfig> = {
  types: ['llama'],
  fromJson: (json, file) => fromJson(json, file),
  build: llama,
  gguf: {
    architecture: 'llama',
    fromMetadata: (metadata, facts, file) => fromMetadata(metadata, facts, file),
    nameOf: (tensor, config) => {
      const [, layer, part] = /^blk\.(\d+)\.(\w+)\.weight$/.exec(tensor) ?? []
      const heads = part === 'attn_q' ? config.numAttentionHeads : part === 'attn_k' ? config.numKeyValueHeads : 0
      return {
        name: whole[tensor] ?? (part && parts[part] ? `model.layers.${layer}.${parts[part]}.weight` : tensor),
        ...(heads && { heads, headDim: config.headDim }),
      }
    },
  },
}

/** The architecture that a config.json of transformers describes. */
const fromJson = (json: JsonObject, file: string): LlamaConfig => {
  const read = readConfig(json, file)
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
const fromMetadata = (
  metadata: ReadonlyMap<string, unknown>,
  { tied, vocabRows }: GgufFacts,
  file: string,
): LlamaConfig => {
  const read = readConfig(Object.fromEntries(metadata) as JsonObject, file)
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

const parts: Record<string, string> = {
  attn_norm: 'input_layernorm',
  ffn_norm: 'post_attention_layernorm',
  attn_q: 'self_attn.q_proj',
  attn_k: 'self_attn.k_proj',
  attn_v: 'self_attn.v_proj',
  attn_output: 'self_attn.o_proj',
  ffn_gate: 'mlp.gate_proj',
  ffn_up: 'mlp.up_proj',
  ffn_down: 'mlp.down_proj',
}
/** The last part of the path that a linear layer of a GGUF file has in transformers: `q_proj` for `blk.0.attn_q.weight`. */
export const ggufRole = (name: string): string | undefined => {
  const part = /^blk\.\d+\.(\w+)\.weight$/.exec(name)?.[1]
  return part === undefined || part.endsWith('_norm') ? undefined : parts[part]?.split('.').at(-1)
}
const whole: Record<string, string> = {
  'token_embd.weight': 'model.embed_tokens.weight',
  'output_norm.weight': 'model.norm.weight',
  'output.weight': 'lm_head.weight',
}
