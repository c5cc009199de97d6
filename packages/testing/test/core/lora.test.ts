import { useSimd } from '@graftjs/kernels'
import { lora } from '@graftjs/lora'
import { env } from '@tensorflow/tfjs-core'
import { beforeAll } from 'vitest'
import { decoderBed, tinyDecoder } from '../../src/index.ts'
import { testMethod } from '../../src/vitest.ts'

beforeAll(async () => {
  env().set('IS_TEST', true)
  await useSimd({ threads: 1 })
})

// With dropout the onion runs, without it the fused product; targets: null is the architecture's own.
testMethod(lora({ r: 3, loraAlpha: 7, targetModules: 'all-linear' }), { identityAtStart: true, folds: true })
testMethod(lora({ r: 2, loraAlpha: 5, loraDropout: 0.2, useRslora: true }), { identityAtStart: true, folds: true })

const only = { beds: [decoderBed] }
// Embeddings among the targets, the tied head too, and other ranks for some.
testMethod(
  lora({
    r: 2,
    loraAlpha: 5,
    targetModules: ['embed_tokens', 'lm_head', 'v_proj'],
    rankPattern: { v_proj: 3 },
    alphaPattern: { 'layers.1.self_attn.v_proj': 1 },
  }),
  { identityAtStart: true, folds: true },
  only,
)
// Whole weights, and rows of the tied embedding.
testMethod(
  lora({
    r: 2,
    loraAlpha: 5,
    targetModules: ['q_proj'],
    layersToTransform: 1,
    modulesToSave: ['layers.0.mlp', 'model.norm'],
    trainableTokenIndices: [2, 14, 30],
  }),
  { identityAtStart: true, folds: true, foldsToLora: false },
  only,
)
// Biases, on a model that has some.
const biased = { ...decoderBed, open: (layers = 2) => tinyDecoder({ layers, biases: ['q_proj', 'v_proj'] }) }
testMethod(
  lora({
    r: 2,
    loraAlpha: 5,
    targetModules: ['q_proj'],
    loraBias: true,
    bias: 'all',
    modulesToSave: ['1.self_attn.v_proj'],
  }),
  { identityAtStart: true, folds: true, foldsToLora: false },
  { beds: [biased] },
)
