import { matMul, mul, scope, sum, type Tensor } from '@graftjs/tensor'
import * as tf from '@tensorflow/tfjs-core'
import { beforeAll, describe, expect, it } from 'vitest'
import {
  attention,
  crossEntropy,
  linear,
  rmsNorm,
  type SimdOptions,
  type StoredWeight,
  storedWeight,
  useSimd,
} from '../src/index.ts'
import { distance, floats, ints, make, randomWeight } from './support.ts'

beforeAll(() => void tf.env().set('IS_TEST', true))

const withGradients = (inputs: Tensor[], f: () => Tensor): Float32Array[] => {
  const loss = (): tf.Tensor => {
    const y = f()
    return sum(mul(y, make(floats(y.shape, 'dy'))))
  }
  return [f(), ...tf.engine().gradients(loss, inputs).grads].map((t) => t.dataSync() as Float32Array)
}
const normal = (...shape: number[]): Tensor => make(floats(shape, `${shape}`))

const segments = (length: number): Tensor =>
  make(
    ints(
      [2, length],
      Array.from({ length: 2 * length }, (_, i) => (i % 11 === 7 ? -2 : Math.floor(i / 40))),
    ),
  )

const q4 = (rows: number, cols: number): StoredWeight =>
  storedWeight('w', 'q4_0', randomWeight('q4_0', rows, cols), [rows, cols])

/** What a training step does, in sizes that split into many tasks and into few. */
const work: Record<string, () => Float32Array[]> = {
  matMul: () => [
    matMul(normal(211, 130), normal(130, 97)).dataSync() as Float32Array,
    matMul(normal(3, 40, 17), normal(3, 40, 65), true).dataSync() as Float32Array,
    matMul(normal(2, 300), normal(90, 300), false, true).dataSync() as Float32Array,
  ],
  linear: () => {
    const w = q4(100, 96)
    const [x, bias, a, b] = [normal(120, 96), normal(100), normal(8, 96), normal(100, 8)]
    const out = withGradients([x, bias, a, b], () => linear(x, w, { bias, lowRank: [{ a, b, scale: 1.5 }] }))
    w.dispose()
    return out
  },
  attention: () => {
    const [q, k, v] = [normal(2, 131, 4, 12), normal(2, 133, 2, 12), normal(2, 133, 2, 12)]
    const given = { scale: 0.3, causal: true, open: 2, querySegments: segments(131), keySegments: segments(133) }
    return withGradients([q, k, v], () => attention(q, k, v, given))
  },
  crossEntropy: () => {
    const w = q4(1500, 32)
    const hidden = normal(45, 32)
    const labels = make(
      ints(
        [45],
        Array.from({ length: 45 }, (_, i) => (i % 5 ? i * 33 : -100)),
      ),
    )
    const out = withGradients([hidden], () => crossEntropy(hidden, w, labels))
    w.dispose()
    return out
  },
  sums: () => {
    const x = normal(300, 171)
    return [sum(x), sum(x, 0), sum(x, 1)].map((t) => t.dataSync() as Float32Array)
  },
  rmsNorm: () => {
    const [x, w] = [normal(200, 96), normal(96)]
    return withGradients([x, w], () => rmsNorm(x, w, 1e-6))
  },
}

const results = async (options: SimdOptions): Promise<Record<string, Float32Array[]>> => {
  await useSimd(options)
  return Object.fromEntries(Object.entries(work).map(([name, f]) => [name, scope(f)]))
}

describe('the same numbers', () => {
  it.each(['plain', 'relaxed', 'wide'] as const)('to the bit with 1, 2 and 3 threads (%s)', async (variant) => {
    const wanted = await results({ threads: 1, variant })
    for (const threads of [2, 3]) {
      const got = await results({ threads, variant })
      for (const name of Object.keys(work)) expect(got[name], `${name} on ${threads} threads`).toEqual(wanted[name])
    }
  })

  it('again in a second run', async () => {
    const wanted = await results({ threads: 2 })
    expect(await results({ threads: 2 })).toEqual(wanted)
  })

  it('to 1e-5 in every variant', async () => {
    const wanted = await results({ threads: 2, variant: 'plain' })
    for (const variant of ['relaxed', 'wide'] as const) {
      const got = await results({ threads: 2, variant })
      for (const name of Object.keys(work))
        for (const [i, values] of got[name]!.entries()) {
          expect(values.length).toBe(wanted[name]![i]!.length)
          expect(distance(values, wanted[name]![i]!), `${name} ${i} in ${variant}`).toBeLessThan(1e-5)
        }
    }
  })
})
