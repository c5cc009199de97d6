import { useSimd } from '@graftjs/kernels'
import { lora } from '@graftjs/lora'
import { env } from '@tensorflow/tfjs-core'
import { beforeAll } from 'vitest'
import {
  type Bed,
  type CheckName,
  checks,
  encoderBed,
  encoderDecoderBed,
  tinyEncoder,
  tinyEncoderDecoder,
} from '../../src/index.ts'
import { testMethod } from '../../src/vitest.ts'

beforeAll(async () => {
  env().set('IS_TEST', true)
  await useSimd({ threads: 1 })
})

const promises = { identityAtStart: true, folds: true }
// An encoder has no cache.
const only = (Object.keys(checks) as CheckName[]).filter((check) => check !== 'cached')

/** A head of its own: one class for each row, taken whole into the adapter as PEFT does. */
const classifierBed: Bed = {
  ...encoderBed,
  open: (numHiddenLayers = 2) => tinyEncoder({ numHiddenLayers, task: 'seq-cls' }),
  batch: { ...encoderBed.batch, labels: [[3], [1]] },
}

testMethod(lora({ r: 2, loraAlpha: 5 }), promises, { beds: [encoderBed], only })
testMethod(
  lora({ r: 2, loraAlpha: 5, modulesToSave: ['classifier'] }),
  { ...promises, foldsToLora: false },
  {
    beds: [classifierBed],
    only: ['identity', 'gradients', 'handover', 'gains', 'mixed rows', 'trains', 'saving', 'merging', 'backends'],
  },
)
for (const [task, labels] of [
  ['token-cls', encoderBed.batch.labels.map((row) => row.map((label) => (label < 0 ? label : label % 5)))],
  [
    'question-answering',
    [
      [2, 5],
      [0, 4],
    ],
  ],
] as const) {
  const bed: Bed = {
    ...encoderBed,
    open: (numHiddenLayers = 2) => tinyEncoder({ numHiddenLayers, task }),
    batch: { ...encoderBed.batch, labels },
  }
  testMethod(lora({ r: 2, loraAlpha: 5, targetModules: 'all-linear' }), promises, { beds: [bed], only: ['gradients'] })
}
// Flan-T5: gated, with a head of its own.
const gated: Bed = {
  ...encoderDecoderBed,
  open: (layers = 4) =>
    tinyEncoderDecoder({
      numLayers: layers / 2,
      numDecoderLayers: layers / 2,
      denseActFn: 'gelu_new',
      isGated: true,
      bias: false,
      tieWordEmbeddings: false,
    }),
}
testMethod(lora({ r: 2, loraAlpha: 5, targetModules: 'all-linear' }), promises, { beds: [gated] })
