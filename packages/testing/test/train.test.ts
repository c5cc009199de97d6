import { attach, type Tuned } from '@graftjs/core'
import type { Sample } from '@graftjs/data'
import { useSimd } from '@graftjs/kernels'
import { lora } from '@graftjs/lora'
import { type LoadedModel, loadModel } from '@graftjs/models'
import { adamw, linear, sgd } from '@graftjs/optim'
import { memory, random } from '@graftjs/tensor'
import { type StepReport, train } from '@graftjs/trainer'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { relativeError } from '../src/index.ts'
import { fixtureDir } from './fixture.ts'

let model: LoadedModel
beforeAll(async () => {
  await useSimd({ threads: 2 })
  model = await loadModel(`${fixtureDir('tiny-llama')}/model`)
})
afterAll(() => model.dispose())

/** Rows of different lengths, of which the second half is learnt. */
const samples: Sample[] = Array.from({ length: 12 }, (_, source) => {
  const draw = random(source, 'rows')
  const ids = Array.from({ length: 4 + (source % 5) }, () => 3 + draw.int(90))
  return { ids, labels: ids.map((id, t) => (t < ids.length / 2 ? -100 : id)), source }
})
const tuned = (options: object = {}): Tuned =>
  attach(model, lora({ r: 4, loraAlpha: 12, targetModules: 'all-linear', ...options }), { seed: 1 })
const values = (t: Tuned): Float32Array[] => [...t.params.all.values()].map((p) => p.value.dataSync() as Float32Array)

describe('train', () => {
  it('learns: the loss falls, and every report adds up', async () => {
    const t = tuned()
    const reports: StepReport[] = []
    const optimizer = adamw(2e-2)
    const { losses, steps } = await train(t, samples, {
      optimizer,
      schedule: linear({ warmupSteps: 2 }),
      epochs: 8,
      batchSize: 4,
      keep: 'all',
      callbacks: [{ onStep: (r) => void reports.push(r) }],
    })
    expect(steps).toBe(24)
    expect(losses.slice(-3).reduce((a, b) => a + b) / 3).toBeLessThan(losses[0]! * 0.7)
    expect(reports.map((r) => r.step)).toEqual(Array.from({ length: 24 }, (_, i) => i + 1))
    expect(reports[0]!.learningRate).toBe(0)
    expect(reports.slice(0, 3).reduce((n, r) => n + r.tokens, 0)).toBe(samples.reduce((n, s) => n + s.ids.length, 0))
    expect(reports.slice(0, 3).reduce((n, r) => n + r.targets, 0)).toBe(
      samples.flatMap((s) => s.labels).filter((l) => l !== -100).length,
    )
    optimizer.dispose()
    t.dispose()
  })

  it('micro-batches accumulated equal one large batch, normalised by supervised tokens', async () => {
    const run = async (
      batchSize: number,
      accumulate: number,
    ): Promise<{ losses: readonly number[]; values: Float32Array[] }> => {
      const t = tuned()
      const optimizer = sgd(0.1)
      const { losses } = await train(t, samples, { optimizer, epochs: 2, batchSize, accumulate, seed: 3 })
      const after = values(t)
      optimizer.dispose()
      t.dispose()
      return { losses, values: after }
    }
    const [large, small] = [await run(6, 1), await run(2, 3)]
    small.losses.forEach((loss, i) => expect(Math.abs(loss / large.losses[i]! - 1)).toBeLessThan(1e-5))
    small.values.forEach((v, i) => expect(relativeError(v, large.values[i]!)).toBeLessThan(1e-5))
  })

  it.each([1, 3])('a seed fixes every bit, dropout included, whatever the threads (%i)', async (threads) => {
    const run = async (): Promise<number[][]> => {
      const own = await loadModel(`${fixtureDir('tiny-llama')}/model`)
      const t = attach(own, lora({ r: 4, loraDropout: 0.4, targetModules: 'all-linear' }), { seed: 1 })
      const optimizer = adamw(1e-2)
      await train(t, samples, {
        optimizer,
        steps: 3,
        batchSize: 4,
        accumulate: 2,
        seed: 5,
        keep: threads === 1 ? 'all' : 'none',
        clip: 0.5,
      })
      const after = values(t).map((v) => [...v])
      optimizer.dispose()
      t.dispose()
      own.dispose()
      return after
    }
    await useSimd({ threads: 2 })
    const wanted = await run()
    await useSimd({ threads })
    expect(await run()).toEqual(wanted)
    await useSimd({ threads: 2 })
    model = await loadModel(`${fixtureDir('tiny-llama')}/model`)
  })

  it('stops at an abort with the steps done so far, and leaves no tensor behind', async () => {
    const t = tuned()
    const optimizer = adamw(1e-2)
    await train(t, samples, { optimizer, steps: 1, batchSize: 4 })
    const before = memory()
    const abort = new AbortController()
    const { steps } = await train(t, samples, {
      optimizer,
      steps: 50,
      batchSize: 4,
      signal: abort.signal,
      callbacks: [{ onStep: ({ step }) => void (step === 2 && abort.abort()) }],
    })
    expect(steps).toBe(2)
    expect(memory()).toEqual(before)
    optimizer.dispose()
    t.dispose()
  })

  it('refuses an empty set and a batch with nothing to learn', async () => {
    const t = tuned()
    await expect(train(t, [], { optimizer: adamw(1) })).rejects.toThrow(/samples: given none/)
    await expect(train(t, [{ ids: [4, 5], labels: [-100, -100], source: 0 }], { optimizer: adamw(1) })).rejects.toThrow(
      /all -100/,
    )
    t.dispose()
  })
})
