import { random, scope, type Tensor, tensor, zeros } from '@graftjs/tensor'
import { env } from '@tensorflow/tfjs-core'
import { beforeAll, describe, expect, it } from 'vitest'
import { attention, biasedAttention, useSimd } from '../src/index.ts'

beforeAll(async () => {
  env().set('IS_TEST', true)
  await useSimd({ threads: 1 })
})

const [B, T, S, H, D] = [2, 3, 5, 2, 4]
const drawn = (name: string, shape: number[]): Tensor =>
  tensor(random(0, name).fill(new Float32Array(shape.reduce((a, b) => a * b)), 'normal'), shape)
const segments = (rows: number[][]): Tensor => tensor(Int32Array.from(rows.flat()), [B, rows[0]!.length], 'int32')
const given = () => ({ q: drawn('q', [B, T, H, D]), k: drawn('k', [B, S, H, D]), v: drawn('v', [B, S, H, D]) })
const options = (causal: boolean, open = 0) => ({
  scale: 0.7,
  causal,
  open,
  querySegments: segments([
    [0, 0, 1],
    [0, -2, -2],
  ]),
  keySegments: segments([
    [-1, 0, 0, 1, -2],
    [-2, -2, -2, -2, -2],
  ]),
})

describe('biasedAttention', () => {
  it.each([
    [false, 0],
    [true, 0],
    [true, 1],
  ])('without a bias is attention (causal %s, open %i): a query that sees no key gives 0', (causal, open) =>
    scope(() => {
      const { q, k, v } = given()
      const plain = attention(q, k, v, options(causal, open)).dataSync()
      const biased = biasedAttention(q, k, v, { ...options(causal, open), bias: zeros([1, H, T, S]) }).dataSync()
      biased.forEach((x, i) => expect(Math.abs(x - plain[i]!)).toBeLessThan(1e-5))
      expect([...biased.subarray((B - 1) * T * H * D)].every((x) => x === 0)).toBe(true)
    }),
  )

  it('adds it to the scores, of a row or of all', () =>
    scope(() => {
      const { q, k, v } = given()
      const one = drawn('bias', [1, H, T, S])
      const each = tensor(Float32Array.from([...one.dataSync(), ...one.dataSync()]), [B, H, T, S])
      const all = { ...options(false), keySegments: segments(Array.from({ length: B }, () => [-1, -1, -1, -1, -1])) }
      const shared = biasedAttention(q, k, v, { ...all, bias: one }).dataSync()
      expect([...biasedAttention(q, k, v, { ...all, bias: each }).dataSync()]).toEqual([...shared])
      const [qs, ks, vs, bs] = [q, k, v, one].map((x) => x.arraySync()) as [
        number[][][][],
        number[][][][],
        number[][][][],
        number[][][][],
      ]
      const scores = Array.from({ length: S }, (_, j) =>
        Math.exp(0.7 * qs[1]![2]![1]!.reduce((sum, x, d) => sum + x * ks[1]![j]![1]![d]!, 0) + bs[0]![1]![2]![j]!),
      )
      const total = scores.reduce((a, b) => a + b)
      const wanted = vs[1]![0]![1]!.map((_, d) =>
        scores.reduce((sum, p, j) => sum + (p / total) * vs[1]![j]![1]![d]!, 0),
      )
      const at = ((1 * T + 2) * H + 1) * D
      wanted.forEach((x, d) => expect(Math.abs(shared[at + d]! - x)).toBeLessThan(1e-5))
    }))
})
