import { dispose, isGraftError, scope, type Tensor, tensor } from '@graftjs/tensor'
import * as tf from '@tensorflow/tfjs-core'
import { afterEach, describe, expect, it } from 'vitest'
import { rope, simdInfo, storedWeight, useSimd } from '../src/index.ts'
import { chooseVariant } from '../src/simd/choose-variant.ts'
import { createPool, HEAP_START, type Pool } from '../src/simd/pool.ts'
import { floats, ints, make } from './support.ts'

const faultOf = (f: () => unknown): unknown => {
  try {
    f()
  } catch (error) {
    return error
  }
  return undefined
}

describe('pool', () => {
  let pool: Pool
  afterEach(() => pool.stop())
  const start = async (threads: number): Promise<void> => {
    const { module } = await chooseVariant('plain')
    const memory = new WebAssembly.Memory({ initial: 64, maximum: 65536, shared: true })
    pool = await createPool(module, memory, threads, false)
  }
  /** Squares of 0 … 49,999, so many tasks that every thread may take some. */
  const works = (): void => {
    const count = 50_000
    const [x, out] = [HEAP_START, HEAP_START + 4 * count + 64]
    const numbers = new Float32Array(pool.memory.buffer)
    for (let i = 0; i < count; i++) numbers[x / 4 + i] = i
    pool.run('unary', Math.ceil(count / 16384), [5, x, out, count])
    for (let i = 0; i < count; i += 997) expect(numbers[out / 4 + i]).toBe(Math.fround(i * i))
  }

  it.each([1, 2, 3])('says which kernel has trapped, and works on (%i threads)', async (threads) => {
    await start(threads)
    works()
    for (let round = 0; round < 200; round++) {
      const error = faultOf(() => pool.run('trap', 64, []))
      expect(isGraftError(error) && [error.code, error.culprit]).toEqual(['kernel-failed', 'kernel trap'])
      expect((error as Error).message).toMatch(/^kernel trap: \S/)
      if (round % 20 === 0) works()
    }
    works()
  })

  it('traps in no task but the fourth', async () => {
    await start(2)
    pool.run('trap', 3, [])
    expect(faultOf(() => pool.run('trap', 4, []))).toBeDefined()
    pool.run('trap', 0, [])
    pool.run('trap', 1, [])
  })

  it('reports a trap in a worker, which serves on', async () => {
    await start(2)
    const words = new Int32Array(pool.memory.buffer)
    // A dispatch in which the main thread takes no part: the worker alone comes to task 3. (Addresses: assembly/control.ts.)
    const [next, tasks, generation, done, kernel] = [1024, 1088, 1152, 1216, 1280].map((a) => a / 4) as number[]
    for (let round = 0; round < 3; round++) {
      words[kernel!] = 0
      words[tasks!] = 4
      Atomics.store(words, next!, 3)
      Atomics.store(words, done!, 0)
      Atomics.add(words, generation!, 1)
      Atomics.notify(words, generation!)
      await expect.poll(() => Atomics.load(words, done!), { interval: 1 }).toBe(1)
      const error = faultOf(() => pool.run('trap', 1, []))
      expect((error as Error).message).toMatch(/^kernel trap: unreachable/)
      pool.run('trap', 3, [])
      works()
    }
  })

  it('does not bring up an error of a run before', async () => {
    await start(3)
    for (let round = 0; round < 100; round++) {
      // Addresses past the memory's end: every thread traps.
      const error = faultOf(() => pool.run('unary', 64, [5, 2 ** 30, 2 ** 30, 2 ** 30]))
      expect(isGraftError(error) && error.culprit).toBe('kernel unary')
      pool.run('trap', 3, [])
    }
    works()
  })
})

describe('useSimd', () => {
  it('names a kernel variant that does not exist', async () => {
    const before = process.env.GRAFT_KERNEL
    process.env.GRAFT_KERNEL = 'fast'
    try {
      await expect(useSimd()).rejects.toThrow('GRAFT_KERNEL: given fast; expected auto, plain, relaxed or wide')
    } finally {
      process.env.GRAFT_KERNEL = before
    }
  })

  it.each([0, 1.5, -2, Number.NaN])('refuses %d threads', async (threads) => {
    await expect(useSimd({ threads })).rejects.toThrow(/^threads: given/)
  })

  it('starts afresh with other options, and not at all with the same', async () => {
    tf.env().set('IS_TEST', true)
    expect(await useSimd({ threads: 1, variant: 'plain' })).toMatchObject({ threads: 1, variant: 'plain' })
    const x = make(floats([64], 'x'))
    const y = tf.square(x)
    const held = simdInfo()!.memoryBytes
    expect(held).toBeGreaterThan(0)
    await useSimd({ threads: 1, variant: 'plain' })
    expect(simdInfo()!.memoryBytes).toBe(held)
    dispose([x, y])
    expect(await useSimd({ threads: 2, variant: 'relaxed' })).toMatchObject({ threads: 2, variant: 'relaxed' })
    expect(tf.getBackend()).toBe('simd')
    expect(simdInfo()!.memoryBytes).toBe(0)
    expect([...scope(() => tf.square(tensor([1, 2, 3], [3])).dataSync())]).toEqual([1, 4, 9])
  })

  it('probes for a variant that is right', async () => {
    const info = await useSimd({ threads: 1, variant: 'auto' })
    expect(Object.keys(info.probe)).toContain(info.variant)
    expect(Object.keys(info.probe)).toContain('plain')
  })
})

describe('storedWeight', () => {
  it('wants the bytes that its shape needs', () => {
    const make = (bytes: number, cols = 64) => storedWeight('layer.weight', 'q4_0', new Uint8Array(bytes), [3, cols])
    expect(() => make(3 * 36 - 1)).toThrow('layer.weight: given 107 bytes of q4_0; expected 108 for [3, 64]')
    expect(() => make(3 * 36, 63)).toThrow(/rows of 63 numbers; expected a multiple of 32/)
    make(3 * 36).dispose()
  })

  it.each(['simd', 'cpu'])('has no row past its last (%s)', async (backend) => {
    await useSimd({ threads: 2 })
    await tf.setBackend(backend)
    const w = storedWeight('w', 'f32', new Float32Array(12), [3, 4])
    const rows = (ids: number[]): Tensor => w.rows(make(ints([ids.length], ids)))
    scope(() => {
      expect(rows([0, 2, 1, 2]).shape).toEqual([4, 4])
      for (const bad of [3, -1])
        expect(() => rows([0, 1, bad])).toThrow(`ids[2]: given ${bad}; expected a row of 0 … 2`)
    })
    w.dispose()
  })
})

describe('rope', () => {
  it('reads no row past its tables', async () => {
    await useSimd({ threads: 2 })
    const [x, table] = [tensor(new Float32Array(8), [1, 2, 1, 4]), tensor(new Float32Array(6), [3, 2])]
    const turned = (positions: number[]): Tensor => rope(x, tensor(positions, [1, 2], 'int32'), table, table)
    expect(scope(() => turned([0, 2])).shape).toEqual([1, 2, 1, 4])
    for (const bad of [3, -1]) expect(() => turned([0, bad])).toThrow(`positions[1]: given ${bad}; expected 0 … 2`)
  })
})
