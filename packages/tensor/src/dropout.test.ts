import * as tf from '@tensorflow/tfjs-core'
import '@tensorflow/tfjs-backend-cpu'
import { beforeAll, describe, expect, it } from 'vitest'
import { dropout, ones, sum } from './index.ts'
import { registerGradients } from './register.ts'

beforeAll(async () => {
  await registerGradients()
  await tf.setBackend('cpu')
})

describe('dropout', () => {
  it('zeroes about `rate` of the elements, scales the rest, and replays', () => {
    const x = ones([100, 100])
    const y = [...dropout(x, 0.25, 3, 9).dataSync()]
    const zeros = y.filter((v) => v === 0).length
    expect(zeros / 1e4).toBeCloseTo(0.25, 1)
    expect(new Set(y)).toEqual(new Set([0, Math.fround(1 / 0.75)]))
    expect([...dropout(x, 0.25, 3, 9).dataSync()]).toEqual(y)
    expect([...dropout(x, 0.25, 4, 9).dataSync()]).not.toEqual(y)
    expect([...dropout(x, 0.25, 3, 10).dataSync()]).not.toEqual(y)
  })

  it('has its own mask as gradient', () => {
    const x = ones([7, 5])
    const { grads } = tf.engine().gradients(() => sum(dropout(x, 0.5, 1, 2)) as tf.Tensor, [x])
    expect([...grads[0]!.dataSync()]).toEqual([...dropout(x, 0.5, 1, 2).dataSync()])
  })
})
