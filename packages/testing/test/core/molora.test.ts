import { useSimd } from '@graftjs/kernels'
import { molora, mov } from '@graftjs/molora'
import { env } from '@tensorflow/tfjs-core'
import { beforeAll } from 'vitest'
import { testMethod } from '../../src/vitest.ts'

beforeAll(async () => {
  env().set('IS_TEST', true)
  await useSimd({ threads: 1 })
})

const keysAndValues = String.raw`.*\.(k_proj|v_proj|k|v)`
const withFeedForward = String.raw`.*\.(v_proj|v|down_proj|wo)`

testMethod(molora({ experts: 3, r: 2, loraAlpha: 5, targetModules: 'all-linear' }), { identityAtStart: true })
// With routers this far from even, a finite step leaves the choice of experts as it is.
testMethod(molora({ experts: 5, r: 1, topK: 2, renormalize: false, routerInitStd: 3 }), {
  identityAtStart: true,
  activationsPerLayer: 3,
})
testMethod(mov({ experts: 3, targetModules: keysAndValues }), { identityAtStart: true, lossDrop: 0.01 })
testMethod(
  mov({
    experts: 3,
    topK: 2,
    routerInitStd: 1,
    targetModules: withFeedForward,
    feedforwardModules: String.raw`.*\.(down_proj|wo)`,
  }),
  { identityAtStart: true, gains: 'generic', lossDrop: 0.01, activationsPerLayer: 3 },
)
