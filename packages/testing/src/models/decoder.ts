import type { Model } from '@graftjs/core'
import type { LlamaConfig } from '@graftjs/models'
import { randomLlama } from '../random-llama.ts'

export interface TinyDecoderOptions extends Partial<Omit<LlamaConfig, 'numHiddenLayers'>> {
  /** Default 2. */
  readonly layers?: number
  /** Of the weights. Default 0. */
  readonly seed?: number
}

/** The Llama of `models` with small shapes of which no two agree, so that a swapped one is seen: 4 · 8 query features on 12, two heads a group. */
export const tinyDecoder = ({ layers = 2, seed = 0, ...config }: TinyDecoderOptions = {}): Model =>
  randomLlama(
    {
      vocabSize: 31,
      hiddenSize: 12,
      intermediateSize: 20,
      numHiddenLayers: layers,
      numAttentionHeads: 4,
      numKeyValueHeads: 2,
      headDim: 8,
      rmsNormEps: 1e-5,
      ropeTheta: 10000,
      maxPositionEmbeddings: 128,
      tieWordEmbeddings: true,
      ...config,
    },
    seed,
  )
