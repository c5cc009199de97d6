import { useSimd } from '@graftjs/kernels'
import { registerGradients } from '@graftjs/tensor/register'
import * as tf from '@tensorflow/tfjs-core'
import '@tensorflow/tfjs-backend-cpu'
import { beforeAll, expect } from 'vitest'

/** Starts a backend by its name. */
export const backends = {
  simd: async () => void (await useSimd({ threads: 2 })),
  cpu: async () => {
    await registerGradients()
    await tf.setBackend('cpu')
  },
}
beforeAll(() => void tf.env().set('IS_TEST', true))

/** The largest difference, of numbers whose standard deviation is about 1. */
export const furthest = (a: Float32Array, b: Float32Array): number => {
  expect(a.length).toBe(b.length)
  return a.reduce((most, x, i) => Math.max(most, Math.abs(x - b[i]!)), 0)
}
