import { all, around, attach, type Method, sitesOf, type Tuned } from '@graftjs/core'
import { packSamples, type Sample } from '@graftjs/data'
import { lora } from '@graftjs/lora'
import { adamw, constant, linear, sgd } from '@graftjs/optim'
import { memory, mul, random, type Tensor, tensor } from '@graftjs/tensor'
import { neftune, type StepReport, type TrainEvent, type TrainOptions, train } from '@graftjs/trainer'
import { describe, expect, it } from 'vitest'
import { relativeError, tinyDecoder } from '../src/index.ts'
import { withTinyLlama } from './support/set-up.ts'

const base = withTinyLlama()

const rows = (count: number, name: string): Sample[] =>
  Array.from({ length: count }, (_, source) => {
    const draw = random(source, name)
    const ids = Array.from({ length: 3 + draw.int(9) }, () => 3 + draw.int(90))
    return { ids, labels: ids.map((id, t) => (t < 1 ? -100 : id)), source }
  })
const samples = rows(13, 'rows')

const valuesOf = (tuned: Tuned): Float32Array[] =>
  [...tuned.params.all.values()].map(({ value }) => value.dataSync().slice() as Float32Array)

const run = async (options: Partial<TrainOptions> & { data?: Parameters<typeof train>[1]; dropout?: number }) => {
  const { data = samples, dropout = 0, ...rest } = options
  const tuned = attach(base.model, lora({ r: 4, targetModules: 'all-linear', loraDropout: dropout }), { seed: 1 })
  const optimizer = rest.optimizer ?? sgd(0.05)
  const reports: StepReport[] = []
  try {
    const callbacks = [{ onStep: (report: StepReport) => void reports.push(report) }, ...(rest.callbacks ?? [])]
    const result = await train(tuned, data, { batchSize: 4, seed: 2, ...rest, optimizer, callbacks })
    return { ...result, reports, values: valuesOf(tuned) }
  } finally {
    optimizer.dispose()
    tuned.dispose()
  }
}

const targets = (of: readonly Sample[]): number => of.reduce((n, { ids }) => n + ids.length - 1, 0)

describe('packing in training', () => {
  it('learns every supervised token of the samples once an epoch, in fewer rows', async () => {
    const { reports, steps } = await run({ packing: { maxLength: 24 }, epochs: 2, batchSize: 2 })
    const perEpoch = Math.ceil(packSamples(samples, { maxLength: 24 }).rows.length / 2)
    expect(steps).toBe(2 * perEpoch)
    for (const epoch of [0, 1])
      expect(reports.filter((r) => r.epoch === epoch).reduce((n, r) => n + r.targets, 0)).toBe(targets(samples))
  })

  it('one step over all rows equals the step over all samples', async () => {
    const [packed, plain] = [
      await run({ packing: { maxLength: 24 }, steps: 1, batchSize: 100 }),
      await run({ steps: 1, batchSize: 100 }),
    ]
    expect(Math.abs(packed.losses[0]! / plain.losses[0]! - 1)).toBeLessThan(1e-6)
    packed.values.forEach((v, i) => expect(relativeError(v, plain.values[i]!)).toBeLessThan(1e-6))
  })

  it('refuses a sample that is longer than a row, by its index', async () => {
    await expect(run({ packing: { maxLength: 8 } })).rejects.toThrow(/rows\[\d+\]/)
  })
})

describe('bucketing in training', () => {
  it('one epoch as one step equals that without; the order differs, the tokens do not', async () => {
    const whole = { batchSize: 2, accumulate: 7, epochs: 1 }
    const [on, off] = [await run({ ...whole, bucketing: true }), await run(whole)]
    expect(Math.abs(on.losses[0]! / off.losses[0]! - 1)).toBeLessThan(1e-6)
    on.values.forEach((v, i) => expect(relativeError(v, off.values[i]!)).toBeLessThan(1e-6))
  })
})

describe('mixtures in training', () => {
  const sets = [
    { name: 'large', samples: rows(20, 'large') },
    { name: 'small', samples: rows(4, 'small') },
  ]
  it('draw by the strategy, packed or not, and resume nowhere else', async () => {
    const options = { data: sets, mixing: { strategy: 'equal', size: 16 }, epochs: 1.5, batchSize: 4 } as const
    const { steps, reports } = await run(options)
    expect(steps).toBe(6)
    expect(reports.map(({ epoch }) => epoch)).toEqual([0, 0, 0, 0, 1, 1])
    const again = await run(options)
    expect(again.values).toEqual((await run(options)).values)
    const packed = await run({ ...options, packing: { maxLength: 24 } })
    expect(packed.steps).toBeLessThan(6)
  })
  it('are proportional unless told', async () => {
    const { reports } = await run({ data: sets, epochs: 1, batchSize: 24 })
    expect(reports[0]!.targets).toBe(targets(sets.flatMap((set) => set.samples)))
  })
})

describe('NEFTune', () => {
  it('adds U(-1, 1) · alpha / √(L d) in training alone, L the length of the own document', async () => {
    const tiny = tinyDecoder()
    const [site] = sitesOf(tiny, 'embedding')
    const noise: Tensor[] = []
    const [patch] = neftune(tiny, 5)
    const frame = { segments: tensor([0, 0, 0, 1, 1, -2], [1, 6], 'int32') }
    const runOf = { call: { seed: 7 }, frame } as never
    const y = tensor(new Float32Array(6 * site!.outDim), [1, 6, site!.outDim])
    noise.push((patch as { delta: (x: Tensor, y: Tensor, run: never) => Tensor }).delta(y, y, runOf))
    const values = noise[0]!.dataSync() as Float32Array
    const row = (t: number): number[] => [...values.subarray(t * site!.outDim, (t + 1) * site!.outDim)]
    const bound = (length: number): number => 5 / Math.sqrt(length * site!.outDim)
    for (const [t, length] of [3, 3, 3, 2, 2].entries()) {
      expect(Math.max(...row(t).map(Math.abs))).toBeLessThanOrEqual(bound(length))
      expect(Math.max(...row(t).map(Math.abs))).toBeGreaterThan(0.5 * bound(length))
    }
    const all = [...values]
    expect(Math.abs(all.reduce((a, b) => a + b, 0) / all.length)).toBeLessThan(0.5 * bound(3))
    tiny.dispose()
  })

  it('changes the run by its seed, to the same bits each time, and no evaluation', async () => {
    const evaluation = { samples: samples.slice(0, 4) }
    const [off, on, again] = [
      await run({ steps: 3, evaluation }),
      await run({ steps: 3, evaluation, neftuneNoiseAlpha: 5 }),
      await run({ steps: 3, evaluation, neftuneNoiseAlpha: 5, keep: 'all' }),
    ]
    expect(on.losses[0]).not.toBe(off.losses[0])
    expect(Math.abs(on.losses[0]! / off.losses[0]! - 1)).toBeLessThan(0.2)
    expect(again.values).toEqual(on.values)
    expect(on.evaluations[0]).toEqual(off.evaluations[0])
    const before = memory()
    await run({ steps: 2, neftuneNoiseAlpha: 5, packing: { maxLength: 24 } })
    expect(memory()).toEqual(before)
  })
})

describe('the check of gradients', () => {
  /** A parameter that is made and never read. */
  const forgetful = (): Method => ({
    name: 'forgetful',
    config: {},
    attach: (_, params) => {
      params.add('forgotten.weight', [3], (shape) => tensor(new Float32Array(3), shape))
      return []
    },
  })
  /** One whose part in the output is 0. */
  const shut = (): Method => ({
    name: 'shut',
    config: {},
    attach: (base, params) => {
      const w = params.add('shut.weight', [1], (shape) => tensor([1], shape))
      return [around(sitesOf(base, 'norm')[0]!, (x, next) => mul(next(x), mul(w(), 0)))]
    },
  })
  const tuneBy = (method: Method, options: Partial<TrainOptions>): Promise<TrainEvent[]> => {
    const tuned = attach(base.model, all(lora({ r: 2, targetModules: ['q_proj'] }), method), { seed: 1 })
    const [optimizer, events] = [adamw(1e-2), [] as TrainEvent[]]
    const callbacks = [{ onEvent: (event: TrainEvent) => void events.push(event) }]
    return train(tuned, samples, { steps: 6, batchSize: 4, ...options, optimizer, callbacks })
      .then(() => events)
      .finally(() => {
        optimizer.dispose()
        tuned.dispose()
      })
  }

  it.each([
    ['read nowhere', forgetful(), 'forgotten.weight'],
    ['multiplied by 0', shut(), 'shut.weight'],
  ])('ends the run after three steps where a parameter is %s', async (_, method, path) => {
    const before = memory()
    await expect(tuneBy(method, {})).rejects.toThrow(
      new RegExp(`^step 3: given no gradient for \\d+ of 7 trainable parameters in the first 3 steps: .*${path}`),
    )
    expect(memory()).toEqual(before)
  })

  it('counts steps that moved something: a warm-up from 0 is no fault', async () => {
    const events = await tuneBy(
      { name: 'none', config: {}, attach: () => [] },
      { schedule: linear({ warmupSteps: 2 }) },
    )
    expect(events).toEqual([])
    await expect(tuneBy(forgetful(), { schedule: linear({ warmupSteps: 2 }) })).rejects.toThrow(/^step 4: /)
  })

  it('warns, or is silent, where asked', async () => {
    expect(await tuneBy(forgetful(), { gradientCheck: 'warn' })).toMatchObject([{ code: 'no-gradient', step: 3 }])
    expect(await tuneBy(forgetful(), { gradientCheck: 'off' })).toEqual([])
    expect(await tuneBy(forgetful(), { steps: 2 })).toEqual([])
    expect(await tuneBy(forgetful(), { schedule: (...at) => 0 * constant()(...at) })).toEqual([])
  })
})
