import type { Model } from '@graftjs/core'
import { useSimd } from '@graftjs/kernels'
import { lora } from '@graftjs/lora'
import { type GemmaConfig, gemma, gpt2, type LlamaConfig, llama } from '@graftjs/models'
import { env } from '@tensorflow/tfjs-core'
import { beforeAll, describe } from 'vitest'
import { decoderBed, methods } from '../../src/index.ts'
import { randomSource } from '../../src/random-source.ts'
import { testMethod } from '../../src/vitest.ts'

beforeAll(async () => {
  env().set('IS_TEST', true)
  await useSimd({ threads: 1 })
})

const shared = {
  vocabSize: 31,
  hiddenSize: 12,
  intermediateSize: 20,
  numAttentionHeads: 4,
  maxPositionEmbeddings: 128,
  tieWordEmbeddings: true,
}
const rotary = { ...shared, numKeyValueHeads: 2, headDim: 8, rmsNormEps: 1e-5, ropeTheta: 10000 }
const windows = (layers: number): (number | null)[] => Array.from({ length: layers }, (_, i) => (i % 2 ? null : 3))
const like = (layers: number, more: Partial<LlamaConfig>): Model =>
  llama({ ...rotary, numHiddenLayers: layers, ...more }, randomSource())
const gemmaLike = (layers: number, more: Partial<GemmaConfig>): Model =>
  gemma({ ...rotary, type: 'gemma', numHiddenLayers: layers, postNorms: false, ...more }, randomSource())

const families: Record<string, (layers: number) => Model> = {
  qwen2: (layers) => like(layers, { biases: ['q_proj', 'k_proj', 'v_proj'] }),
  qwen3: (layers) => like(layers, { qkNorm: true, tieWordEmbeddings: false }),
  mistral: (layers) => like(layers, { windows: windows(layers) }),
  gpt2: (layers) =>
    gpt2(
      {
        ...shared,
        numHiddenLayers: layers,
        layerNormEpsilon: 1e-5,
        activation: 'gelu_new',
        scaleAttnWeights: true,
        scaleAttnByInverseLayerIdx: true,
      },
      randomSource(),
    ),
  gemma: (layers) => gemmaLike(layers, {}),
  gemma2: (layers) =>
    gemmaLike(layers, { postNorms: true, windows: windows(layers), scoreScale: 0.3, scoreCap: 2, logitCap: 3 }),
  gemma3: (layers) =>
    gemmaLike(layers, {
      postNorms: true,
      windows: windows(layers),
      qkNorm: true,
      localRope: { ropeTheta: 500, maxPositionEmbeddings: 128 },
    }),
}

const some = ['identity', 'gradients', 'saving', 'merging'] as const

for (const [name, open] of Object.entries(families))
  describe(name, () => {
    const bed = { ...decoderBed, open: (layers = 2) => open(layers) }
    const promises = { identityAtStart: true, folds: true }
    testMethod(lora({ r: 2, loraAlpha: 5, targetModules: 'all-linear' }), promises, { beds: [bed] })
    if (!['gpt2', 'gemma2'].includes(name)) return
    // Every weight and bias by itself, and tokens in front, which have places of their own.
    testMethod(methods.full(), { ...promises, foldsToLora: false, gains: 'generic' }, { beds: [bed], only: some })
    testMethod(methods.prompt(), { gains: 'switch' }, { beds: [bed], only: ['gradients', 'cached', 'packed'] })
  })
