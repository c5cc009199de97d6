import {
  add,
  addN,
  cast,
  dispose,
  div,
  exp,
  greater,
  matMul,
  max,
  mul,
  neg,
  relu,
  rsqrt,
  sigmoid,
  slice,
  softmax,
  sqrt,
  square,
  sub,
  sum,
  type Tensor,
  tanh,
  tensor,
} from '@graftjs/tensor'
import * as tf from '@tensorflow/tfjs-core'
import { beforeAll, describe, expect, it } from 'vitest'
import { simdInfo, useSimd } from '../src/index.ts'
import { distance, floats, ints, make, numbers, type Spec } from './support.ts'

beforeAll(async () => {
  tf.env().set('IS_TEST', true)
  await useSimd({ threads: 2 })
})

/** The same op on `simd` and on tfjs's own cpu backend. */
const compare = async (inputs: Spec[], f: (...t: Tensor[]) => Tensor, tolerance: number): Promise<void> => {
  const on = async (backend: string): Promise<[Float32Array, number[]]> => {
    await tf.setBackend(backend)
    let shape: number[] = []
    const values = numbers(() => {
      const out = f(...inputs.map(make))
      shape = out.shape
      return out
    })
    return [values, shape]
  }
  const [simd, simdShape] = await on('simd')
  const [cpu, cpuShape] = await on('cpu')
  expect(simdShape).toEqual(cpuShape)
  if (tolerance === 0) expect(simd).toEqual(cpu)
  else expect(distance(simd, cpu)).toBeLessThan(tolerance)
}

describe('matMul', () => {
  const sizes = [
    [1, 1, 1],
    [1, 64, 33],
    [3, 17, 70],
    [4, 5, 1],
    [7, 3, 5],
    [65, 31, 66],
    [130, 129, 17],
  ] as const
  for (const [transposeA, transposeB] of [
    [false, false],
    [true, false],
    [false, true],
    [true, true],
  ] as const) {
    const side = (batch: readonly number[], rows: number, columns: number, turned: boolean, name: string): Spec =>
      floats([...batch, ...(turned ? [columns, rows] : [rows, columns])], name)
    const turned = `${transposeA ? 'aᵀ' : 'a'} · ${transposeB ? 'bᵀ' : 'b'}`
    it.each(sizes)(`${turned}, %i×%i · %i`, (m, k, n) =>
      compare(
        [side([], m, k, transposeA, 'a'), side([], k, n, transposeB, 'b')],
        (a, b) => matMul(a, b, transposeA, transposeB),
        1e-6,
      ),
    )
    it.each([
      [[3], [3]],
      [
        [2, 3],
        [2, 3],
      ],
      [[1], [4]],
      [[4], [1]],
      [
        [2, 2],
        [1, 1],
      ],
      // These broadcast in a way that falls through.
      [
        [2, 1],
        [2, 3],
      ],
      [
        [2, 1],
        [1, 3],
      ],
    ])(`${turned}, batches [%s] and [%s]`, (batchA, batchB) =>
      compare(
        [side(batchA, 9, 7, transposeA, 'a'), side(batchB, 7, 19, transposeB, 'b')],
        (a, b) => matMul(a, b, transposeA, transposeB),
        1e-6,
      ),
    )
  }

  it('of no columns at all is zeros', async () => {
    await compare([floats([6, 0], 'a'), floats([0, 5], 'b')], (a, b) => matMul(a, b), 0)
  })
})

const large = 40_000

describe('Add, Sub, Mul, Div', () => {
  for (const [name, op] of Object.entries({ add, sub, mul, div }))
    it.each([
      [[large], [large]],
      [
        [5, 7],
        [5, 7],
      ],
      [[], []],
      [[large + 3], []],
      [[], [3, 5]],
      [[3, 5], [1]],
      [[1], [3, 5]],
      [[1], [1, 1, 1]],
      [[7, 13], [13]],
      [[13], [7, 13]],
      [
        [4, 7, 13],
        [1, 1, 13],
      ],
      [
        [700, 130],
        [700, 1],
      ],
      [
        [7, 1],
        [7, 13],
      ],
      [
        [2, 3, 5],
        [2, 3, 1],
      ],
      // These fall through to the cpu kernel.
      [
        [2, 3, 5],
        [2, 1, 5],
      ],
      [
        [2, 3, 5],
        [3, 5],
      ],
      [
        [3, 1],
        [1, 3],
      ],
      [
        [2, 3, 5],
        [3, 1],
      ],
      [[0, 3], [3]],
    ])(`${name} of [%s] and [%s]`, (a, b) => compare([floats(a, 'a'), floats(b, 'b')], (x, y) => op(x, y), 0))

  it.each(Object.entries({ add, sub, mul }))('%s of whole numbers', (_, op) =>
    compare([ints([2, 3], [1, -2, 3, 7, 0, 2 ** 24 + 1]), ints([3], [5, 6, 7])], (a, b) => op(a, b), 0),
  )

  it('adds up a list', async () => {
    const list = ['a', 'b', 'c', 'd'].map((name) => floats([37, 11], name))
    for (let count = 1; count <= 4; count++) await compare(list.slice(0, count), (...t) => addN(t), 1e-7)
  })
})

describe('functions of one number', () => {
  it.each(Object.entries({ exp, sigmoid, tanh, square, neg, relu }))('%s', async (_, op) => {
    for (const shape of [[1], [7, 19], [large + 5]])
      for (const factor of [0.05, 2]) await compare([floats(shape, 'x', factor)], (x) => op(x), 1e-6)
    await compare([floats([0], 'x')], (x) => op(x), 0)
  })

  it.each(Object.entries({ sqrt, rsqrt }))('%s', async (_, op) => {
    for (const shape of [[1], [7, 19], [large + 5]]) {
      const x = floats(shape, 'x')
      await compare([{ ...x, data: x.data.map((v) => Math.abs(v) + 1e-3) }], (t) => op(t), 1e-6)
    }
  })

  it('keeps each number of a wide range right, not just the largest', async () => {
    const xs = Float32Array.from([
      -1e4, -100, -87, -20, -1, -1e-4, -1e-20, 0, 1e-20, 1e-4, 0.149, 0.151, 1, 20, 80, 88, 88.7, 89, 1e4,
    ])
    const x = make({ data: xs, shape: [xs.length], dtype: 'float32' })
    await tf.setBackend('simd')
    const near = (got: Float32Array, f: (v: number) => number): void => {
      for (const [i, v] of xs.entries()) {
        const wanted = Math.fround(f(v))
        const off = got[i] === wanted ? 0 : Math.abs(got[i]! - wanted)
        expect(off, `at ${v}`).toBeLessThanOrEqual(3e-7 * Math.abs(wanted) + 1e-37)
      }
    }
    near(
      numbers(() => exp(x)),
      Math.exp,
    )
    near(
      numbers(() => tanh(x)),
      Math.tanh,
    )
    near(
      numbers(() => sigmoid(x)),
      (v) => 1 / (1 + Math.exp(-v)),
    )
    const far = tensor([Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 1e30, -1e30, Number.NaN], [5])
    const inf = Number.POSITIVE_INFINITY
    const round = (f: (t: Tensor) => Tensor): number[] =>
      [...numbers(() => f(far))].map((v) => (v < 1e-37 && v > 0 ? 0 : v))
    expect(round(tanh)).toEqual([1, -1, 1, -1, Number.NaN])
    expect(round(sigmoid)).toEqual([1, 0, 1, 0, Number.NaN])
    expect(round(exp)).toEqual([inf, 0, inf, 0, Number.NaN])
    dispose([x, far])
  })
})

describe('Sum and Max', () => {
  const shape = [3, 5, 37]
  for (const [name, op] of Object.entries({ sum, max }))
    it.each([[undefined], [2], [-1], [0], [1], [[0, 1]], [[1, 2]], [[0, 2]], [[2, 0, 1]], [[]]])(
      `${name} over %j`,
      async (axes) => {
        for (const keepDims of [false, true])
          for (const dims of [shape, [1, 300, 70]])
            await compare([floats(dims, 'x')], (x) => op(x, axes, keepDims), 2e-6)
      },
    )

  it('of whole numbers, and of a single one', async () => {
    await compare([ints([2, 3], [1, 2, 3, 4, 5, 6])], (x) => sum(x, 1), 0)
    await compare([floats([], 'x')], (x) => sum(x), 0)
  })
})

describe('Softmax', () => {
  it.each([[[1, 1]], [[7, 19]], [[2, 3, 130]], [[300, 33]]])('of %j', (shape) =>
    compare([floats(shape, 'x', 3)], (x) => softmax(x), 1e-6),
  )
  it('holds scores that would overflow, and those that are masked away', async () => {
    const x: Spec = {
      data: Float32Array.from([1000, 999, -1000, Number.NEGATIVE_INFINITY, -1e30, -1e30]),
      shape: [2, 3],
      dtype: 'float32',
    }
    await compare([x], (t) => softmax(t), 1e-6)
  })
})

describe('casts', () => {
  it('gives fast kernels numbers of the type that the tensor has, not those it was cast from', async () => {
    const x = floats([6, 8], 'x')
    for (const f of [
      (t: Tensor) => mul(cast(greater(t, 0.5), 'float32'), t),
      (t: Tensor) => sum(cast(greater(t, 0), 'float32')),
      (t: Tensor) => add(cast(cast(mul(t, 10), 'int32'), 'float32'), 1),
      (t: Tensor) => matMul(t, cast(greater(t, 0), 'float32'), false, true),
      (t: Tensor) => exp(slice(cast(greater(t, 0), 'float32'), [1, 2], [3, 4])),
    ])
      await compare([x], f, 1e-6)
    await compare([ints([5], [1, 2, 3, -4, 2 ** 20])], (t) => add(mul(cast(t, 'float32'), 0.5), cast(t, 'float32')), 0)
  })

  it('may come from the cpu backend, and free what they hold', async () => {
    await tf.setBackend('cpu')
    const whole = make(ints([3], [1, -2, 3]))
    const x = cast(whole, 'float32')
    await tf.setBackend('simd')
    const before = simdInfo()!.memoryBytes
    const [y, z] = [mul(x, 2), mul(whole, 3)]
    expect([...y.dataSync()]).toEqual([2, -4, 6])
    expect([...z.dataSync()]).toEqual([3, -6, 9])
    expect([...whole.dataSync()]).toEqual([1, -2, 3])
    dispose([x, y, z, whole])
    expect(simdInfo()!.memoryBytes).toBe(before)
  })
})
