import type { JsonObject } from '@graftjs/files'
import type { Family, GgufFacts } from '../family.ts'
import { readConfig } from '../read-config.ts'
import { type Activation, activationNames } from './activations.ts'
import { type Gpt2Config, gpt2 } from './gpt2.ts'

/** GPT-2 and DistilGPT2. The dropout rates of config.json are those of its pretraining: they do not act here. */
export const gpt2Family: Family<Gpt2Config> = {
  types: ['gpt2'],
  fromJson: (json, file) => {
    const read = readConfig(json, file)
    read.only('add_cross_attention', false)
    read.only('activation_function', ...activationNames)
    const hidden = read.number('n_embd', 768)
    return {
      vocabSize: read.number('vocab_size', 50257),
      hiddenSize: hidden,
      intermediateSize: read.optional('n_inner') ?? 4 * hidden,
      numHiddenLayers: read.number('n_layer', 12),
      numAttentionHeads: read.number('n_head', 12),
      maxPositionEmbeddings: read.number('n_positions', 1024),
      layerNormEpsilon: read.number('layer_norm_epsilon', 1e-5),
      activation: (json.activation_function ?? 'gelu_new') as Activation,
      scaleAttnWeights: read.flag('scale_attn_weights', true),
      scaleAttnByInverseLayerIdx: read.flag('scale_attn_by_inverse_layer_idx'),
      tieWordEmbeddings: read.flag('tie_word_embeddings', true),
    }
  },
  build: gpt2,
  stored: {
    // OpenAI's own files have the names of the bare model.
    nameOf: (tensor) => (/^(transformer|lm_head|score)\./.test(tensor) ? tensor : `transformer.${tensor}`),
    turned: (name) => /^transformer\.h\.\d+\.(attn|mlp)\.c_\w+\.weight$/.test(name),
  },
  gguf: {
    architecture: 'gpt2',
    fromMetadata: (metadata, facts, file) => fromMetadata(metadata, facts, file),
    nameOf: (tensor) => {
      const [, layer, part, kind] = /^(?:blk\.(\d+)\.)?(\w+)\.(weight|bias)$/.exec(tensor) ?? []
      const path = part === undefined ? undefined : layer === undefined ? whole[part] : parts[part]
      return path === undefined ? tensor : `${path.replace('#', layer ?? '')}.${kind}`
    },
  },
}

/** GGUF holds the matrices as [out, in]. */
const parts: Readonly<Record<string, string>> = {
  attn_norm: 'transformer.h.#.ln_1',
  attn_qkv: 'transformer.h.#.attn.c_attn',
  attn_output: 'transformer.h.#.attn.c_proj',
  ffn_norm: 'transformer.h.#.ln_2',
  ffn_up: 'transformer.h.#.mlp.c_fc',
  ffn_down: 'transformer.h.#.mlp.c_proj',
}
const whole: Readonly<Record<string, string>> = {
  token_embd: 'transformer.wte',
  position_embd: 'transformer.wpe',
  output_norm: 'transformer.ln_f',
  output: 'lm_head',
}

const fromMetadata = (
  metadata: ReadonlyMap<string, unknown>,
  { tied, vocabRows }: GgufFacts,
  file: string,
): Gpt2Config => {
  const read = readConfig(Object.fromEntries(metadata) as JsonObject, file)
  return {
    vocabSize: vocabRows,
    hiddenSize: read.number('gpt2.embedding_length'),
    intermediateSize: read.number('gpt2.feed_forward_length'),
    numHiddenLayers: read.number('gpt2.block_count'),
    numAttentionHeads: read.number('gpt2.attention.head_count'),
    maxPositionEmbeddings: read.number('gpt2.context_length'),
    layerNormEpsilon: read.number('gpt2.attention.layer_norm_epsilon'),
    // What has another activation has another architecture there.
    activation: 'gelu_new',
    scaleAttnWeights: true,
    scaleAttnByInverseLayerIdx: false,
    tieWordEmbeddings: tied,
  }
}
