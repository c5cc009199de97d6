import type { Family } from '../family.ts'
import { type LlamaConfig, llama } from './llama.ts'
import { readDecoder, readWindows } from './read-decoder.ts'

/** Mistral 7B: a Llama with a sliding window in every layer, unless config.json says null. Its GGUF files are Llama's. */
export const mistralFamily: Family<LlamaConfig> = {
  types: ['mistral'],
  fromJson: (json, file) => {
    const config = readDecoder(json, file, { maxPositionEmbeddings: 131072, keyValueHeads: 8 })
    // The class of transformers has a window of 4096 where config.json has no such key.
    const { sliding_window = 4096 } = json
    const windows = readWindows({ ...json, sliding_window, layer_types: null }, file, config.numHiddenLayers, () =>
      Boolean(sliding_window),
    )
    return { ...config, ...windows }
  },
  build: llama,
}
