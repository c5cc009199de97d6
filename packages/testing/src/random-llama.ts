import type { Model } from '@graftjs/core'
import { type LlamaConfig, llama } from '@graftjs/models'
import { randomSource } from './random-source.ts'

/** The shapes of SmolLM2-135M. */
export const smolLm2: LlamaConfig = {
  vocabSize: 49152,
  hiddenSize: 576,
  intermediateSize: 1536,
  numHiddenLayers: 30,
  numAttentionHeads: 9,
  numKeyValueHeads: 3,
  headDim: 64,
  rmsNormEps: 1e-5,
  ropeTheta: 100000,
  maxPositionEmbeddings: 8192,
  tieWordEmbeddings: true,
}

/** A Llama of random float32 weights: what needs shapes but no pretrained model (benchmarks, conformance). */
export const randomLlama = (config: LlamaConfig, seed = 0): Model => llama(config, randomSource(seed))
