import type { Model } from '@graftjs/core'
import { storedWeight } from '@graftjs/kernels'
import { type LlamaConfig, llama, vectorWeight } from '@graftjs/models'
import { random } from '@graftjs/tensor'

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
export const randomLlama = (config: LlamaConfig): Model =>
  llama(config, {
    matrix: (name, [rows, cols]) => {
      const values = random(0, name).fill(new Float32Array(rows * cols), 'uniform')
      for (let i = 0; i < values.length; i++) values[i] = (values[i]! - 0.5) * 0.07
      return storedWeight(name, 'f32', values, [rows, cols])
    },
    vector: (name, size) => vectorWeight(name, new Float32Array(size).fill(1)),
  })
