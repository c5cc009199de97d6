import { attach, forward, merge, sitesOf, type Tuned, toLora } from '@graftjs/core'
import { useSimd } from '@graftjs/kernels'
import { lora } from '@graftjs/lora'
import { memory } from '@graftjs/tensor'
import { env } from '@tensorflow/tfjs-core'
import { beforeAll, describe, expect, it } from 'vitest'
import { logitsOf, read } from '../../src/conformance/measure.ts'
import { moveAll } from '../../src/conformance/subject.ts'
import { decoderBed, largestDifference, methods } from '../../src/index.ts'

const { batch } = decoderBed

describe('named adapters on one base', () => {
  beforeAll(async () => {
    env().set('IS_TEST', true)
    await useSimd({ threads: 1 })
  })

  it('are added, switched, disabled for a call, mixed in a batch and deleted; the base is shared', async () => {
    const before = memory().tensors
    const model = decoderBed.open()
    const base = await logitsOf(model, batch)
    const ofModel = memory().tensors
    const tuned = attach(model, methods.lora(), { seed: 1 })
    tuned.addAdapter('second', methods.serialAdapter(), { seed: 2 })
    for (const name of ['default', 'second']) moveAll(tuned, 3, name)
    const first = await logitsOf(tuned, batch)
    tuned.setAdapter('second')
    const second = await logitsOf(tuned, batch)
    expect(tuned.active).toBe('second')
    expect(tuned.adapters).toEqual(['default', 'second'])
    for (const [a, b] of [
      [base, first],
      [first, second],
      [second, base],
    ] as const)
      expect(largestDifference(a, b)).toBeGreaterThan(1e-3)
    // A call says otherwise; the next one is as before.
    expect(await logitsOf(tuned, batch, { adapter: null })).toEqual(base)
    expect(await logitsOf(tuned, batch, { adapter: 'default' })).toEqual(first)
    expect(await logitsOf(tuned, batch)).toEqual(second)
    // Adapters of different methods in one batch: each row is as it is alone.
    const mixed = await logitsOf(tuned, batch, { adapter: ['default', 'second'] })
    const half = mixed.length / 2
    expect(largestDifference(mixed.subarray(0, half), first.subarray(0, half))).toBeLessThan(1e-5)
    expect(largestDifference(mixed.subarray(half), second.subarray(half))).toBeLessThan(1e-5)
    tuned.setAdapter(null)
    expect(await logitsOf(tuned, batch)).toEqual(base)
    tuned.deleteAdapter('second')
    expect(tuned.adapters).toEqual(['default'])
    tuned.dispose()
    expect(memory().tensors).toBe(ofModel)
    model.dispose()
    expect(memory().tensors).toBe(before)
  })

  it('an adapter of the same name is another one once the first is deleted, also in mixed batches', async () => {
    const model = decoderBed.open()
    const tuned = attach(model, methods.lora(), { seed: 1 })
    const add = (seed: number): void => {
      tuned.addAdapter('b', methods.ia3(), { seed })
      moveAll(tuned, seed, 'b')
    }
    const rows = (): Promise<Float32Array> => logitsOf(tuned, batch, { adapter: ['default', 'b'] })
    add(5)
    const before = await rows()
    tuned.deleteAdapter('b')
    add(6)
    expect(largestDifference(await rows(), before)).toBeGreaterThan(1e-4)
    tuned.dispose()
    model.dispose()
  })

  it.each([
    [
      'a name in use',
      (t: Tuned) => t.addAdapter('default', methods.ia3()),
      'adapter: given "default"; expected a name that is not in use',
    ],
    ['an unknown name to switch to', (t: Tuned) => t.setAdapter('defualt'), 'expected one of default'],
    ['an unknown name to delete', (t: Tuned) => t.deleteAdapter('x'), 'adapter: given "x"'],
    [
      'two names for three rows',
      (t: Tuned) => void forward(t, batch, { adapter: ['default'] }),
      'expected one a row: 2',
    ],
  ])('refuses %s', (_, act, message) => {
    const model = decoderBed.open()
    const tuned = attach(model, methods.lora())
    expect(() => act(tuned)).toThrow(message)
    tuned.dispose()
    model.dispose()
  })

  it('toLora of VeRA is a LoRA that PEFT would load: the same logits at full rank, and it says what a lower rank loses', async () => {
    const model = decoderBed.open()
    const tuned = attach(model, methods.vera({ r: 5, targets: ['q_proj', 'down_proj'] }), { seed: 1 })
    moveAll(tuned)
    const wanted = await logitsOf(tuned, batch)
    const { config, tensors, error } = await toLora(tuned, { r: 5 })
    expect(Math.max(...error.values())).toBeLessThan(1e-4)
    const again = attach(model, lora.kind.read(config), { values: tensors })
    expect(largestDifference(await logitsOf(again, batch), wanted)).toBeLessThan(1e-4)
    again.dispose()
    const lost = [...(await toLora(tuned, { r: 2 })).error.values()]
    expect(Math.min(...lost)).toBeGreaterThan(0.05)
    expect(Math.max(...lost)).toBeLessThan(1)
    tuned.dispose()
    model.dispose()
  })

  it('merging an adapter on the tied lm_head parts it from the embedding, which stays', async () => {
    const model = decoderBed.open()
    const tuned = attach(model, methods.lora({ targets: ['lm_head'] }), { seed: 1 })
    moveAll(tuned)
    const merged = merge(tuned)
    const difference = largestDifference(await logitsOf(merged, batch), await logitsOf(tuned, batch))
    expect(difference).toBeLessThan(1e-5)
    const embeddings = (m: typeof model): Promise<Float32Array> =>
      read(() => sitesOf(m, 'embedding')[0]!.weight.dense())
    expect(await embeddings(merged)).toEqual(await embeddings(model))
    merged.dispose()
    tuned.dispose()
    model.dispose()
  })
})
