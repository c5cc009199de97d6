import type { JsonObject } from '@graftjs/files'
import type { Family } from '../family.ts'
import { readConfig } from '../read-config.ts'
import { ggufDecoder } from './gguf-decoder.ts'
import { type LlamaConfig, llama } from './llama.ts'
import { attentionRoles, readDecoder, readWindows } from './read-decoder.ts'

/** Qwen2 and Qwen2.5: a Llama whose queries, keys and values have biases. */
export const qwen2Family: Family<LlamaConfig> = {
  types: ['qwen2'],
  fromJson: (json, file) => ({
    ...readQwen(json, file, { maxPositionEmbeddings: 32768, keyValueHeads: 32 }),
    biases: ['q_proj', 'k_proj', 'v_proj'],
  }),
  build: llama,
  gguf: ggufDecoder('qwen2'),
}

/** Qwen3 (dense): norms of each head's queries and keys, and heads of a width of their own. */
export const qwen3Family: Family<LlamaConfig> = {
  types: ['qwen3'],
  fromJson: (json, file) => ({
    ...readQwen(json, file, { maxPositionEmbeddings: 32768, keyValueHeads: 32, headDim: 128 }),
    qkNorm: true,
    biases: readConfig(json, file).flag('attention_bias') ? attentionRoles : [],
  }),
  build: llama,
  gguf: ggufDecoder('qwen3'),
}

/** Layers from max_window_layers on slide, where use_sliding_window says so. */
const readQwen = (json: JsonObject, file: string, defaults: Parameters<typeof readDecoder>[2]): LlamaConfig => {
  const config = readDecoder(json, file, defaults)
  if (!readConfig(json, file).flag('use_sliding_window')) return config
  const { sliding_window = 4096, max_window_layers: from = 28 } = json
  const slides = (layer: number): boolean => sliding_window !== null && layer >= Number(from)
  return { ...config, ...readWindows({ ...json, sliding_window }, file, config.numHiddenLayers, slides) }
}
