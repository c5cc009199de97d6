import type { Family } from '../family.ts'
import { readConfig } from '../read-config.ts'
import { ggufDecoder } from './gguf-decoder.ts'
import { type LlamaConfig, llama } from './llama.ts'
import { attentionRoles, mlpRoles, readDecoder } from './read-decoder.ts'

/** Llama 2, 3 and 3.x, SmolLM2. */
export const llamaFamily: Family<LlamaConfig> = {
  types: ['llama'],
  fromJson: (json, file) => {
    const read = readConfig(json, file)
    return {
      ...readDecoder(json, file, { maxPositionEmbeddings: 2048 }),
      biases: [...(read.flag('attention_bias') ? attentionRoles : []), ...(read.flag('mlp_bias') ? mlpRoles : [])],
    }
  },
  build: llama,
  gguf: ggufDecoder('llama'),
}
