import { useSimd } from '@graftjs/kernels'
import { env } from '@tensorflow/tfjs-core'
import { beforeAll, describe, it } from 'vitest'
import { courseCases, faultCases } from '../../src/index.ts'

describe('the executor', () => {
  beforeAll(async () => {
    env().set('IS_TEST', true)
    await useSimd({ threads: 1 })
  })
  it.each([...courseCases, ...faultCases])('$name', ({ run }) => run())
})
