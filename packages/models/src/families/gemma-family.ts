import type { JsonObject } from '@graftjs/files'
import type { Family } from '../family.ts'
import { type ConfigReader, readConfig } from '../read-config.ts'
import { type GemmaConfig, gemma } from './gemma.ts'
import { attentionRoles, readWindows } from './read-decoder.ts'
import { readRope } from './read-rope.ts'

export const gemmaFamily: Family<GemmaConfig> = {
  types: ['gemma'],
  fromJson: (json, file) => ({
    ...readGemma(json, file, { keyValueHeads: 16 }),
    ...readRope(json, file, 8192),
    postNorms: false,
  }),
  build: gemma,
}

export const gemma2Family: Family<GemmaConfig> = {
  types: ['gemma2'],
  fromJson: (json, file) => {
    const read = readConfig(json, file)
    const config = { ...readGemma(json, file, { keyValueHeads: 4 }), ...readRope(json, file, 8192) }
    return {
      ...config,
      ...readGemmaWindows(json, file, config.numHiddenLayers, (layer) => layer % 2 === 0),
      postNorms: true,
      scoreScale: scoreScale(read),
      // null takes a cap away; without the key the class of transformers has one.
      scoreCap: json.attn_logit_softcapping === null ? undefined : read.number('attn_logit_softcapping', 50),
      logitCap: json.final_logit_softcapping === null ? undefined : read.number('final_logit_softcapping', 30),
    }
  },
  build: gemma,
}

/** The text models; those that see (`gemma3`) are not built. */
export const gemma3Family: Family<GemmaConfig> = {
  types: ['gemma3_text'],
  fromJson: (json, file) => {
    const read = readConfig(json, file)
    read.only('attn_logit_softcapping')
    const config = readGemma(json, file, { keyValueHeads: 4 })
    const every = read.number('sliding_window_pattern', 6)
    return {
      ...config,
      ...readGemmaRopes(json, file),
      ...readGemmaWindows(json, file, config.numHiddenLayers, (layer) => (layer + 1) % every !== 0),
      postNorms: true,
      qkNorm: true,
      scoreScale: scoreScale(read),
      logitCap: read.optional('final_logit_softcapping'),
    }
  },
  build: gemma,
}

type Common = Omit<GemmaConfig, 'ropeTheta' | 'maxPositionEmbeddings' | 'postNorms'>

const readGemma = (json: JsonObject, file: string, { keyValueHeads }: { keyValueHeads: number }): Common => {
  const read = readConfig(json, file)
  // The first releases say gelu and mean its approximation.
  read.only('hidden_act', 'gelu', 'gelu_pytorch_tanh')
  read.only('hidden_activation', 'gelu_pytorch_tanh')
  read.only('use_bidirectional_attention', false)
  return {
    type: String(json.model_type),
    vocabSize: read.number('vocab_size'),
    hiddenSize: read.number('hidden_size'),
    intermediateSize: read.number('intermediate_size'),
    numHiddenLayers: read.number('num_hidden_layers'),
    numAttentionHeads: read.number('num_attention_heads'),
    numKeyValueHeads: read.number('num_key_value_heads', keyValueHeads),
    headDim: read.number('head_dim', 256),
    rmsNormEps: read.number('rms_norm_eps', 1e-6),
    tieWordEmbeddings: read.flag('tie_word_embeddings', true),
    biases: read.flag('attention_bias') ? attentionRoles : [],
  }
}

const scoreScale = (read: ConfigReader): number => 1 / Math.sqrt(read.number('query_pre_attn_scalar', 256))

const readGemmaWindows = (json: JsonObject, file: string, layers: number, slides: (layer: number) => boolean) => {
  const { sliding_window = 4096 } = json
  return readWindows({ ...json, sliding_window }, file, layers, slides)
}

/** transformers 5 keeps the two under the types of the layers, earlier versions under keys of their own. */
const readGemmaRopes = (json: JsonObject, file: string) => {
  const { rope_parameters, rope_scaling, rope_theta = 1_000_000, rope_local_base_freq = 10_000, ...rest } = json
  const of = (rope_parameters ?? {}) as { [type: string]: JsonObject | undefined }
  const whole = of.full_attention ?? rope_scaling ?? {}
  return {
    ...readRope({ ...rest, rope_theta, rope_parameters: whole }, file, 131072),
    localRope: readRope(
      { ...rest, rope_theta: rope_local_base_freq, rope_parameters: of.sliding_attention ?? {} },
      file,
      131072,
    ),
  }
}
