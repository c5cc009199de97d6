import {
  add,
  clone,
  dispose,
  isGraftError,
  matMul,
  memory,
  mul,
  random,
  reshape,
  scope,
  slice,
  sum,
  type Tensor,
  tensor,
} from '@graftjs/tensor'
import * as tf from '@tensorflow/tfjs-core'
import { beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { adamw, crossEntropy, linear, simdInfo, storedWeight, useSimd } from '../src/index.ts'
import { createAllocator } from '../src/simd/allocator.ts'
import { SimdBackend } from '../src/simd/backend.ts'
import type { Pool } from '../src/simd/pool.ts'
import { floats, ints, make, randomWeight } from './support.ts'

const faultOf = (f: () => unknown): string => {
  try {
    f()
  } catch (error) {
    if (isGraftError(error)) return error.code
    throw error
  }
  return 'none'
}

describe('allocator', () => {
  const PAGE = 65536
  const fresh = (limit = 64 * PAGE, end = limit) => {
    const grown: number[] = []
    return { grown, a: createAllocator(128, end, (pages) => grown.push(pages), limit) }
  }

  it('gives aligned blocks that leave room to read past their end, and uses freed ones again', () => {
    const { a } = fresh()
    const [x, y, z] = [a.allocate(100), a.allocate(64), a.allocate(1)]
    for (const at of [x, y, z]) expect(at % 64).toBe(0)
    expect(y - x).toBeGreaterThanOrEqual(100 + 64)
    expect(z - y).toBeGreaterThanOrEqual(64 + 64)
    a.free(y)
    expect(a.allocate(64)).toBe(y)
  })

  it('merges what is freed with its neighbours, in any order', () => {
    for (const order of [
      [0, 1, 2],
      [2, 1, 0],
      [0, 2, 1],
      [1, 0, 2],
    ]) {
      const { a } = fresh()
      const blocks = [a.allocate(1000), a.allocate(1000), a.allocate(1000)]
      const last = a.allocate(10)
      for (const i of order) a.free(blocks[i]!)
      expect(a.allocate(3000)).toBe(blocks[0])
      a.free(blocks[0]!)
      a.free(last)
      expect(a.used).toBe(0)
      // All of it is one stretch again.
      expect(a.allocate(30_000)).toBe(blocks[0])
    }
  })

  it('splits a block that is too large, and prefers one that fits', () => {
    const { a } = fresh()
    const [large, , small] = [a.allocate(8000), a.allocate(1), a.allocate(700), a.allocate(1)]
    a.free(large!)
    a.free(small!)
    expect(a.allocate(700)).toBe(small)
    expect(a.allocate(700)).toBe(large)
    expect(a.allocate(7000)).toBeLessThan(small!)
  })

  it('counts what is held and the most that was', () => {
    const { a } = fresh()
    const [x, y] = [a.allocate(1000), a.allocate(2000)]
    const most = a.used
    expect(most).toBeGreaterThanOrEqual(3000)
    a.free(y)
    a.free(x)
    expect(a.used).toBe(0)
    expect(a.peak).toBe(most)
  })

  it('grows the memory when it has to', () => {
    const { a, grown } = fresh(64 * PAGE, 2 * PAGE)
    a.allocate(PAGE)
    expect(grown).toEqual([])
    a.allocate(3 * PAGE)
    expect(grown.length).toBe(1)
    expect(2 + grown[0]!).toBeLessThanOrEqual(64)
    expect(2 + grown[0]!).toBeGreaterThanOrEqual(4)
  })

  it('refuses to free twice, and to free what it never gave', () => {
    const { a } = fresh()
    const x = a.allocate(10)
    a.allocate(10)
    a.free(x)
    expect(faultOf(() => a.free(x))).toBe('bad-free')
    expect(faultOf(() => a.free(x + 64))).toBe('bad-free')
  })

  it('says when memory runs out, and works on', () => {
    const { a } = fresh(4 * PAGE)
    const x = a.allocate(2 * PAGE)
    const used = a.used
    expect(faultOf(() => a.allocate(3 * PAGE))).toBe('out-of-memory')
    expect(a.used).toBe(used)
    const y = a.allocate(PAGE)
    expect(y).toBeGreaterThan(x)
    a.free(x)
    a.free(y)
    expect(a.allocate(3 * PAGE)).toBe(128)
  })

  it('never overlaps blocks, whatever the order', () => {
    const { a } = fresh(4096 * PAGE)
    const r = random(1, 'allocator')
    const held: { at: number; size: number }[] = []
    for (let round = 0; round < 3000; round++) {
      if (held.length && r.uniform() < 0.48) a.free(held.splice(r.int(held.length), 1)[0]!.at)
      else {
        const size = r.int(2 ** r.int(16))
        held.push({ at: a.allocate(size), size })
      }
      if (round % 100) continue
      held.sort((x, y) => x.at - y.at)
      for (const [i, block] of held.entries())
        if (i) expect(block.at).toBeGreaterThanOrEqual(held[i - 1]!.at + held[i - 1]!.size + 64)
    }
    for (const { at } of held) a.free(at)
    expect(a.used).toBe(0)
  })
})

describe('backend', () => {
  beforeAll(async () => {
    tf.env().set('IS_TEST', true)
    await useSimd({ threads: 2 })
  })
  beforeEach(() => tf.setBackend('simd'))

  /** A tensor that a fast kernel has made, so that it lies in the shared memory. */
  const inside = (shape: number[], name: string): Tensor => {
    const x = make(floats(shape, name))
    const out = add(x, x)
    dispose(x)
    return out
  }
  /** Would overwrite a freed block of this shape. */
  const churn = (shape: number[]): void => {
    const list = Array.from({ length: 8 }, () => inside(shape, 'churn'))
    dispose(list)
  }
  const level = (): object => ({ ...memory(), held: simdInfo()!.memoryBytes })

  it('leaves a slice as it was when its source is freed', () => {
    const source = inside([64, 16], 'source')
    const wanted = source.dataSync().slice(16, 48)
    for (const f of [
      () => slice(source, [1, 0], [2, 16]),
      () => reshape(slice(reshape(source, [1024]), [16], [32]), [2, 16]),
    ]) {
      const part = scope(f)
      expect(part.dataSync()).toEqual(wanted)
      dispose(part)
    }
    const part = slice(source, [1, 0], [2, 16])
    dispose(source)
    churn([64, 16])
    expect(part.dataSync()).toEqual(wanted)
    dispose(part)
  })

  it('hands out copies, not windows', async () => {
    const x = inside([40], 'x')
    const [now, later] = [x.dataSync(), await x.data()]
    const wanted = now.slice()
    now.fill(0)
    later.fill(0)
    expect(x.dataSync()).toEqual(wanted)
    const kept = x.dataSync()
    dispose(x)
    churn([40])
    expect(kept).toEqual(wanted)
  })

  it('counts references of reshapes and clones', () => {
    const before = level()
    const x = inside([6, 4], 'x')
    const wanted = x.dataSync()
    const list = [clone(x), reshape(x, [24]), reshape(x, [2, 3, 4])]
    dispose(x)
    churn([6, 4])
    for (const t of list) expect(t.dataSync()).toEqual(wanted)
    dispose(list[0]!)
    dispose(list[1]!)
    churn([6, 4])
    expect(list[2]!.dataSync()).toEqual(wanted)
    dispose(list[2]!)
    expect(level()).toEqual(before)
  })

  it('copies what moves to another backend', async () => {
    const x = inside([50], 'x')
    const wanted = x.dataSync()
    await tf.setBackend('cpu')
    const y = tf.add(x, 0)
    await tf.setBackend('simd')
    churn([50])
    expect(y.dataSync()).toEqual(wanted)
    const z = mul(y, 1)
    expect(z.dataSync()).toEqual(wanted)
    dispose([x, y, z])
  })

  it('does not write to the array that a tensor was made from', () => {
    const given = Float32Array.from([1, 2, 3])
    const [p, m, v, g] = [tensor(given, [3]), make(floats([3], 'm')), tensor([1, 1, 1], [3]), make(floats([3], 'g'))]
    const out = adamw(p, m, v, g, { lr: 0.1, beta1: 0.9, beta2: 0.99, eps: 1e-8, weightDecay: 0, step: 1 })
    expect([...given]).toEqual([1, 2, 3])
    expect(out[0].dataSync()).not.toEqual(given)
    dispose([...out, g])
  })

  it('holds the same again after each of many steps', () => {
    const w = storedWeight('w', 'q4_0', randomWeight('q4_0', 64, 32), [64, 32])
    const [a, b] = [make(floats([4, 32], 'a')), make(floats([64, 4], 'b'))]
    let state = ['p', 'm', 'v'].map((name) => make(floats([4, 32], name, name === 'v' ? 0 : 1))) as [
      Tensor,
      Tensor,
      Tensor,
    ]
    const step = (n: number): void => {
      const grads = scope(() => {
        const x = make(floats([20, 32], 'x'))
        const labels = make(
          ints(
            [20],
            Array.from({ length: 20 }, (_, i) => i),
          ),
        )
        const loss = (): tf.Tensor => {
          const h = linear(x, w, { lowRank: [{ a, b, scale: 2 }] })
          const folded = slice(h, [0, 0], [20, 32])
          return sum(crossEntropy(folded, w, labels))
        }
        return tf.engine().gradients(loss, [a, b]).grads
      })
      state = adamw(...state, grads[0]!, { lr: 0.1, beta1: 0.9, beta2: 0.99, eps: 1e-8, weightDecay: 0, step: n })
      dispose(grads)
    }
    step(1)
    step(2)
    const before = level()
    for (let n = 3; n < 20; n++) step(n)
    expect(level()).toEqual(before)
    w.dispose()
    dispose([a, b, ...state])
  })

  it('holds nothing more after kernels that hand a call to tfjs', () => {
    const [x, y] = [make(floats([2, 3, 5], 'x')), make(floats([2, 1, 5], 'y'))]
    const round = (): void => scope(() => void sum(add(x, y), 1).dataSync())
    round()
    const before = level()
    for (let i = 0; i < 10; i++) round()
    expect(level()).toEqual(before)
    dispose([x, y])
  })

  it('says when more is asked for than WebAssembly can hold, frees what it had begun, and works on', () => {
    const [a, b] = [make(floats([40_000, 1], 'a')), make(floats([1, 40_000], 'b'))]
    dispose(scope(() => [add(a, a), add(b, b)]))
    const before = level()
    expect(faultOf(() => matMul(a, b))).toBe('out-of-memory')
    expect(level()).toEqual(before)

    const small = scope(() => matMul(reshape(tensor([1, 2, 3, 4], [4]), [2, 2]), tensor([1, 0, 0, 1], [2, 2])))
    expect([...small.dataSync()]).toEqual([1, 2, 3, 4])
    dispose([small, a, b])
  })

  it('frees what a kernel had made and borrowed when memory runs out half-way', () => {
    const memory = new WebAssembly.Memory({ initial: 4, maximum: 4, shared: true })
    const pool: Pool = { memory, threads: 3, run: () => {}, setScratch: () => {}, stop: () => {} }
    const allocator = createAllocator(0, 4 * 65536, () => {}, 4 * 65536)
    const backend = new SimdBackend(pool, allocator, 6)
    const kept = backend.output([100])
    const held = allocator.used
    const failing = [
      () => backend.lend(100_000, () => backend.lend(200_000, () => {})),
      () => backend.output([100_000]),
      () => backend.reserveScratch(90_000),
    ]
    for (const fail of failing) {
      const kernel = (): void => {
        backend.output([100])
        backend.output([10_000])
        fail()
      }
      expect(faultOf(() => backend.whole(kernel))).toBe('out-of-memory')
      expect(allocator.used).toBe(held)
      expect(backend.numDataIds()).toBe(1)
    }
    backend.reserveScratch(20_000)
    backend.reserveScratch(30_000)
    backend.disposeData(kept.dataId)
    expect(allocator.used).toBeLessThan(3 * 30_000 + 1000)
  })
})
