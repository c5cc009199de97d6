import '@tensorflow/tfjs-backend-cpu'
import { dispose, memory, random, tensor } from '@graftjs/tensor'
import * as tf from '@tensorflow/tfjs-core'
import { beforeAll, expect, it } from 'vitest'
import { clipScale, globalNorm, squaredNorms } from './clip.ts'

beforeAll(async () => void (await tf.setBackend('cpu')))

it('is the norm of all gradients as one vector, the same each time, and frees what it made', async () => {
  const arrays = [3, 40, 500].map((n) => random(1, `g${n}`).fill(new Float32Array(n), 'normal'))
  const grads = arrays.map((a) => tensor(a, [a.length]))
  const before = memory()
  const expected = Math.sqrt(arrays.flatMap((a) => [...a]).reduce((sum, x) => sum + x * x, 0))
  const norm = async (): Promise<number> => globalNorm(await squaredNorms(grads))
  expect(await norm()).toBeCloseTo(expected, 4)
  expect(await norm()).toBe(await norm())
  expect(globalNorm(await squaredNorms([]))).toBe(0)
  expect(memory()).toEqual(before)
  dispose(grads)
})
it('shows a gradient that is not finite', async () => {
  const grads = [tensor([1, 2], [2]), tensor([1, Number.NaN], [2])]
  const squares = await squaredNorms(grads)
  expect([...squares]).toEqual([5, Number.NaN])
  expect(globalNorm(squares)).toBeNaN()
  dispose(grads)
})
it('scales down to the largest norm, never up, and not at all at 0', () => {
  expect(clipScale(4, 1)).toBe(1 / (4 + 1e-6))
  expect(clipScale(0.5, 1)).toBe(1)
  expect(clipScale(4, 0)).toBe(1)
})
