import { definedOps, scope, sum, type Tensor } from '@graftjs/tensor'
import * as tf from '@tensorflow/tfjs-core'
import { beforeAll, describe, expect, it } from 'vitest'
import { attention, crossEntropy, storedWeight, useSimd } from '../src/index.ts'
import { opCases } from './op-cases.ts'
import { parityFaults } from './parity.ts'
import { floats, ints, make } from './support.ts'

describe.each([...new Set(opCases.map((c) => c.op))])('%s', (op) => {
  beforeAll(async () => {
    tf.env().set('IS_TEST', true)
    await useSimd({ threads: 2 })
  })

  it.each(opCases.filter((c) => c.op === op))('$name', async (c) => {
    expect(await parityFaults(c, 'simd')).toEqual([])
  })
})

it('has a case for every op', () => {
  const missing = [...definedOps().keys()].filter(
    (name) => !name.endsWith('Back') && !opCases.some((c) => c.op === name),
  )
  expect(missing).toEqual([])
})

describe('attention', () => {
  it('gives 0 and gradients of 0 where a query sees no key', async () => {
    for (const backend of ['simd', 'cpu']) {
      await tf.setBackend(backend)
      scope(() => {
        const [q, k, v] = ['q', 'k', 'v'].map((name) => make(floats([1, 4, 2, 8], name))) as [Tensor, Tensor, Tensor]
        const segmentsOf = (values: number[]): Tensor => make(ints([1, 4], values))
        const run = (): Tensor =>
          attention(q, k, v, {
            scale: 1,
            causal: true,
            open: 0,
            querySegments: segmentsOf([0, 7, 0, 7]),
            keySegments: segmentsOf([0, 0, -2, 0]),
          })
        const out = run().dataSync()
        const { grads } = tf.engine().gradients(() => sum(run()) as tf.Tensor, [q, k, v])
        const [dq, dk, dv] = grads.map((g) => g.dataSync()) as [Float32Array, Float32Array, Float32Array]
        for (const row of [1, 3]) {
          expect([...out.subarray(row * 16, row * 16 + 16)].every((x) => x === 0)).toBe(true)
          expect([...dq.subarray(row * 16, row * 16 + 16)].every((x) => x === 0)).toBe(true)
        }
        for (const d of [dk, dv]) {
          expect([...d.subarray(32, 48)].every((x) => x === 0)).toBe(true)
          expect(d.some((x) => x !== 0)).toBe(true)
        }
        expect([...out, ...dq, ...dk, ...dv].every(Number.isFinite)).toBe(true)
      })
    }
  })

  it('refuses heads that do not group and segments of another length', () => {
    scope(() => {
      const x = (heads: number): Tensor => make(floats([1, 3, heads, 4], 'x'))
      const call = (heads: number, keySegments: Tensor): Tensor =>
        attention(x(3), x(heads), x(heads), {
          scale: 1,
          causal: true,
          open: 0,
          querySegments: make(ints([1, 3], [0, 0, 0])),
          keySegments,
        })
      expect(() => call(2, make(ints([1, 3], [0, 0, 0])))).toThrow(/3 query heads on 2 key heads/)
      expect(() => call(1, make(ints([1, 2], [0, 0])))).toThrow(/attention.keySegments/)
    })
  })
})

it('crossEntropy refuses labels that the vocabulary lacks', async () => {
  for (const backend of ['simd', 'cpu']) {
    await tf.setBackend(backend)
    const w = storedWeight('w', 'f32', floats([40, 8], 'w').data as Float32Array, [40, 8])
    for (const bad of [40, -1])
      expect(() => scope(() => crossEntropy(make(floats([2, 8], 'hidden')), w, make(ints([2], [-100, bad]))))).toThrow(
        `labels[1]: given ${bad}; expected -100 or one of 0 … 39`,
      )
    w.dispose()
  }
})
