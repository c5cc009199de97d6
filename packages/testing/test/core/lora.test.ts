import { useSimd } from '@graftjs/kernels'
import { lora } from '@graftjs/lora'
import { env } from '@tensorflow/tfjs-core'
import { beforeAll } from 'vitest'
import { testMethod } from '../../src/vitest.ts'

beforeAll(async () => {
  env().set('IS_TEST', true)
  await useSimd({ threads: 1 })
})

// With dropout the onion runs, without it the fused product; targets: null is the architecture's own.
testMethod(lora({ r: 3, loraAlpha: 7, targetModules: 'all-linear' }), { identityAtStart: true, folds: true })
testMethod(lora({ r: 2, loraAlpha: 5, loraDropout: 0.2, useRslora: true }), { identityAtStart: true, folds: true })
