import { createHash } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { attach, type Model, merge, type Tuned } from '@graftjs/core'
import type { Sample } from '@graftjs/data'
import { useSimd } from '@graftjs/kernels'
import { lora } from '@graftjs/lora'
import { type LoadedModel, loadModel } from '@graftjs/models'
import { adamw, cosine, linear, type Optimizer, sgd } from '@graftjs/optim'
import { memory, tensor } from '@graftjs/tensor'
import { GraftError } from '@graftjs/tensor/error'
import {
  type TrainCallbacks,
  type TrainEnd,
  type TrainEvent,
  type TrainOptions,
  type TrainResult,
  train,
} from '@graftjs/trainer'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { faulty } from '../../files/src/faulty-fs.test-util.ts'
import { fixtureDir } from './fixture.ts'
import { resumeSamples as samples } from './support/resume-run.ts'

let model: LoadedModel
const load = async (variant: 'relaxed' | 'plain' = 'relaxed'): Promise<void> => {
  await useSimd({ threads: 2, variant })
  await loadAgain()
}
const loadAgain = async (): Promise<void> => {
  model = await loadModel(`${fixtureDir('tiny-llama')}/model`)
  await warm(model)
}
/** A model makes its tables at its first pass and holds them. */
const warm = async (base: Model): Promise<void> => {
  const t = tune({}, base)
  await train(t, samples, { ...common, optimizer: sgd(0.1), steps: 1 })
  t.dispose()
}
beforeAll(() => load())
afterAll(() => model.dispose())

let dir: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'graft-resume-'))
})
afterEach(() => rmSync(dir, { recursive: true }))

/** 11 rows, 2 a micro-batch, 4 micro-batches a step: an epoch is 2 steps, the second one short. */
const common = { schedule: linear({ warmupSteps: 2 }), steps: 5, batchSize: 2, accumulate: 4, clip: 0.5, seed: 5 }

/** Enough where the point is the files. */
const quick = { steps: 3, accumulate: 1, method: { targetModules: ['q_proj'] } }

interface Run {
  readonly result: TrainResult
  /** Hashes by path. */
  readonly values: Map<string, string>
  readonly state: Map<string, string>
}
interface RunOptions extends Partial<TrainOptions> {
  readonly create?: () => Optimizer
  readonly rows?: readonly Sample[]
  readonly method?: object
  readonly base?: Model
}

const tune = (method: object = {}, base: Model = model): Tuned =>
  attach(base, lora({ r: 4, loraDropout: 0.3, targetModules: 'all-linear', ...method }), { seed: 1 })

const hash = (data: ArrayLike<number>): string =>
  createHash('sha256')
    .update(new Uint8Array(Float32Array.from(data).buffer))
    .digest('hex')

/** One call of train on a new tuned model with a new optimiser, as a process of its own would make it. */
const run = async ({
  create = () => adamw(1e-2),
  rows = samples,
  method,
  base,
  ...options
}: RunOptions): Promise<Run> => {
  const before = memory()
  const [t, optimizer] = [tune(method, base), create()]
  try {
    const result = await train(t, rows, { ...common, ...options, optimizer })
    const values = new Map([...t.params.all].map(([path, { value }]) => [path, hash(value.dataSync())]))
    const state = new Map([...(await optimizer.state())].map(([name, { data }]) => [name, hash(data)]))
    return { result, values, state }
  } finally {
    optimizer.dispose()
    t.dispose()
    expect(memory()).toEqual(before)
  }
}

/** Aborts once `k` steps are done. */
const until = (k: number): Pick<TrainOptions, 'signal' | 'callbacks'> => {
  const abort = new AbortController()
  if (k === 0) abort.abort()
  return { signal: abort.signal, callbacks: [{ onStep: ({ step }) => void (step === k && abort.abort()) }] }
}
/** Collects what is said under one code. */
const hearing = (code: TrainEvent['code']): { heard: TrainEvent[]; callbacks: TrainCallbacks[] } => {
  const heard: TrainEvent[] = []
  return { heard, callbacks: [{ onEvent: (event) => void (event.code === code && heard.push(event)) }] }
}
const faultOf = async (run: Promise<unknown>): Promise<GraftError> => {
  const fault = await run.then(
    () => undefined,
    (e: unknown) => e,
  )
  expect(fault).toBeInstanceOf(GraftError)
  return fault as GraftError
}
const steps = (): string[] => readdirSync(dir).sort()

describe('a resumed run', () => {
  it.each<[string, RunOptions]>([
    ['AdamW', {}],
    [
      'SGD with momentum, stages kept',
      { create: () => sgd({ learningRate: 0.1, momentum: 0.9 }), keep: 'all', method: quick.method },
    ],
    ['SGD that remembers nothing', { ...quick, create: () => sgd(0.1), schedule: cosine() }],
  ])('N steps are k and N - k to the bit, for every k: %s', async (_, options) => {
    const straight = await run(options)
    const n = options.steps ?? common.steps
    expect(straight.result).toMatchObject({ steps: n, finished: true })
    expect(straight.result.checkpoint).toBeUndefined()
    for (let k = 0; k <= n; k++) {
      const checkpoint = { dir: `${dir}/${k}` }
      // The last one is written at its end, as everySteps asks; the others because they are aborted.
      const first = await run({ ...options, ...until(k), checkpoint: { ...checkpoint, everySteps: 100 } })
      expect(first.result).toMatchObject({ steps: k, finished: k === n })
      const { heard, callbacks } = hearing('resumed')
      const second = await run({ ...options, checkpoint, resume: true, callbacks })
      expect(heard).toMatchObject([{ step: k, details: { folder: first.result.checkpoint! } }])
      expect(second.result.losses).toEqual(straight.result.losses)
      expect(second.values).toEqual(straight.values)
      expect(second.state).toEqual(straight.state)
    }
  })

  it('may be cut off at every step, with other threads each time', async () => {
    const straight = await run({})
    const checkpoint = { dir }
    for (let k = 1; k <= common.steps; k++) {
      await useSimd({ threads: 1 + (k % 3) })
      await loadAgain()
      const part = await run({ ...until(k), checkpoint, resume: k > 1 })
      if (k < common.steps) continue
      expect(part.values).toEqual(straight.values)
      expect(part.state).toEqual(straight.state)
    }
    await load()
  })

  it('is done again from the step that was cut off among its micro-batches', async () => {
    const straight = await run({})
    // The third micro-batch of step 3 (and one pass that knows the base again): an error there is what a kill looks like from inside.
    let passes = 0
    const base: Model = {
      ...model,
      begin: (batch, call) => {
        if (++passes === 1 + 4 + 2 + 3) throw new Error('cut off')
        return model.begin(batch, call)
      },
    }
    await expect(run({ base, checkpoint: { dir, everySteps: 1 } })).rejects.toThrow('cut off')
    expect(steps()).toEqual(['step-00000001', 'step-00000002'])
    const resumed = await run({ checkpoint: { dir }, resume: true })
    expect(resumed.values).toEqual(straight.values)
    expect(resumed.state).toEqual(straight.state)
  })

  it('that is finished does nothing', async () => {
    const first = await run({ checkpoint: { dir, everySteps: 2 } })
    const again = await run({ checkpoint: { dir, everySteps: 2 }, resume: true })
    expect(again.values).toEqual(first.values)
    expect(again.result).toMatchObject({ steps: 5, finished: true, losses: first.result.losses })
  })

  it('may write elsewhere', async () => {
    const straight = await run({})
    await run({ ...until(3), checkpoint: { dir: `${dir}/a` } })
    const { values, result } = await run({ ...until(4), resume: `${dir}/a`, checkpoint: { dir: `${dir}/b` } })
    expect(values).not.toEqual(straight.values)
    expect(result.checkpoint).toBe(`${dir}/b/step-00000004`)
    expect((await run({ resume: `${dir}/b` })).values).toEqual(straight.values)
  })
})

describe('checkpoints', () => {
  it('are written each so many steps and at the end; the newest stay', async () => {
    const saved: number[] = []
    const onEvent = ({ step, code, details }: TrainEvent): void => {
      expect(code).toBe('checkpoint')
      saved.push(step)
      expect(readdirSync(details.folder as string).sort()).toEqual([
        'checkpoint.json',
        'optimizer.safetensors',
        'parameters.safetensors',
        'run.json',
      ])
    }
    const { result } = await run({ checkpoint: { dir, everySteps: 2, keep: 2 }, callbacks: [{ onEvent }] })
    expect(saved).toEqual([2, 4, 5])
    expect(steps()).toEqual(['step-00000004', 'step-00000005'])
    expect(result.checkpoint).toBe(`${dir}/step-00000005`)
  })

  it('that went bad are skipped, and said', async () => {
    const straight = await run(quick)
    const files = ['checkpoint.json', 'optimizer.safetensors', 'parameters.safetensors', 'run.json']
    for (const [i, file] of files.entries())
      for (const how of ['cut', 'flip', 'gone'] as const) {
        const own = `${dir}/${i}-${how}`
        await run({ ...quick, ...until(2), checkpoint: { dir: own, everySteps: 1 } })
        const path = `${own}/step-00000002/${file}`
        const bytes = readFileSync(path)
        if (how === 'gone') rmSync(path)
        else if (how === 'cut') writeFileSync(path, bytes.subarray(0, bytes.length - 9))
        else writeFileSync(path, bytes.with(bytes.length >> 1, bytes[bytes.length >> 1]! ^ 4))
        const { heard, callbacks } = hearing('checkpoint-passed-over')
        const { values } = await run({ ...quick, checkpoint: { dir: own, everySteps: 1 }, resume: true, callbacks })
        expect(values).toEqual(straight.values)
        expect(heard).toHaveLength(1)
        expect(heard[0]!.message).toContain(path)
      }
  })

  it('none at all, or none that is whole, is an error that names the folder', async () => {
    const none = await faultOf(run({ checkpoint: { dir: `${dir}/none` }, resume: true }))
    expect(none.message).toBe(
      `${dir}/none: given no checkpoint; expected one to resume from: start the run without resume`,
    )
    await run({ ...until(1), checkpoint: { dir } })
    rmSync(`${dir}/step-00000001/run.json`)
    expect((await faultOf(run({ checkpoint: { dir }, resume: true }))).message).toMatch(
      /no checkpoint that is whole \(.*run\.json/,
    )
    expect((await faultOf(run({ resume: true }))).message).toMatch(/resume: given true without checkpoint.dir/)
  })

  it('of another run are not mixed with those of a new one', async () => {
    await run({ ...until(2), checkpoint: { dir } })
    expect((await faultOf(run({ checkpoint: { dir } }))).message).toBe(
      `${dir}: given the checkpoint of step 2; expected an empty folder for a run that starts afresh: resume the run, or remove the folder`,
    )
    expect(steps()).toEqual(['step-00000002'])
  })

  it.each([
    ['everySteps', 0],
    ['keep', 1.5],
  ])('refuse %s %d', async (name, value) => {
    expect((await faultOf(run({ checkpoint: { dir, [name]: value } }))).message).toBe(
      `checkpoint.${name}: given ${value}; expected a whole number ≥ 1`,
    )
  })

  it('of a newer version are refused, not skipped', async () => {
    await run({ ...until(2), checkpoint: { dir, everySteps: 1 } })
    const path = `${dir}/step-00000002/checkpoint.json`
    writeFileSync(path, readFileSync(path, 'utf8').replace('"version": 1', '"version": 2'))
    const { code, message } = await faultOf(run({ checkpoint: { dir }, resume: true }))
    expect([code, message]).toEqual([
      'newer-version',
      `${path}: version: given 2; expected at most 1: a newer Graft wrote this checkpoint`,
    ])
  })
})

describe('a checkpoint is refused by a run with', () => {
  const changed = samples.map((s, i) => (i === 3 ? { ...s, ids: s.ids.map((id) => id + 1) } : s))
  it.each<[string, RunOptions, RegExp]>([
    ['another seed', { seed: 6 }, /a run with seed 6; expected that of the checkpoint: seed 5$/],
    ['more steps', { steps: 8 }, /steps 8, .*expected that of the checkpoint: steps 5/],
    ['other batches', { batchSize: 4, accumulate: 2 }, /batchSize 4, accumulate 2; .*batchSize 2, accumulate 4/],
    ['other clipping', { clip: 0 }, /clip 0; .*clip 0.5/],
    ['another schedule', { schedule: cosine() }, /schedule\.step 1 1, .*expected .*schedule\.step 1 0, /],
    ['another rate', { create: () => adamw(2e-2) }, /optimizer\.learningRate 0\.02; .*optimizer\.learningRate 0\.01/],
    ['another optimiser', { create: () => sgd(1e-2) }, /optimizer\.name sgd.*optimizer\.name adamw/],
    ['another rank', { method: { r: 2 } }, /method\.r 2; .*method\.r 4/],
    ['other rows', { rows: changed }, /rows\.hash \w{16}; .*rows\.hash \w{16}$/],
  ])('%s, with both named', async (_, options, message) => {
    await run({ ...until(2), checkpoint: { dir } })
    const fault = await faultOf(run({ checkpoint: { dir }, resume: true, ...options }))
    expect(fault.code).toBe('other-run')
    expect(fault.message).toMatch(message)
    expect(fault.message).toContain(`${dir}/step-00000002`)
    expect(steps()).toEqual(['step-00000002'])
  })

  it('other weights under the name of the base', async () => {
    await run({ ...until(2), checkpoint: { dir } })
    const t = tune()
    for (const [path, param] of t.params.all)
      if (path.endsWith('lora_B.weight')) param.set(tensor(new Float32Array(param.value.size).fill(1e-3), param.shape))
    const base: Model = { ...merge(t), ...{ name: model.name } }
    t.dispose()
    await warm(base)
    const { message } = await faultOf(run({ base, checkpoint: { dir }, resume: true }))
    expect(message).toMatch(/a run with base loss of a row [\d.]+; expected that of the checkpoint: base loss of a row/)
    base.dispose()
  })

  it('another kernel variant, with the way out', async () => {
    await run({ ...until(2), checkpoint: { dir } })
    await load('plain')
    const { message } = await faultOf(run({ checkpoint: { dir }, resume: true }))
    expect(message).toMatch(/kernel variant plain; .*kernel variant relaxed; GRAFT_KERNEL=relaxed picks that variant$/)
    await load()
  })
})

describe('a fault while a checkpoint is written', () => {
  it.each(['ENOSPC', 'EIO'])('%s at any call: the old one is intact, the error typed', async (code) => {
    const checkpoint = { dir: `${dir}/counted`, everySteps: 1, keep: 1 }
    await run({ ...quick, ...until(1), checkpoint })
    const { fs: counting, calls } = await faulty({})
    await run({ ...quick, ...until(2), checkpoint: { ...checkpoint, fs: counting }, resume: true })
    const straight = await run(quick)
    expect(calls.filter((call) => call === 'write').length).toBeGreaterThanOrEqual(4)
    let failed = 0
    for (let at = 0; at < calls.length; at++) {
      const own = `${dir}/${at}`
      await run({ ...quick, ...until(1), checkpoint: { dir: own, everySteps: 1, keep: 1 } })
      const { fs } = await faulty({ at, code })
      const where = `call ${at}, ${calls[at]}`
      const fault = await run({
        ...quick,
        ...until(2),
        checkpoint: { dir: own, everySteps: 1, keep: 1, fs },
        resume: true,
      }).then(
        () => undefined,
        (e: unknown) => e as GraftError,
      )
      if (fault) {
        failed++
        expect(fault, where).toBeInstanceOf(GraftError)
        expect(fault.code, where).toBe('write-failed')
        expect(fault.message, where).toContain(code)
        // The flush of the folder above fails when the new checkpoint is whole: then both are there.
        expect(readdirSync(own).length, where).toBe(fault.message.includes('is there') ? 2 : 1)
      }
      const { heard, callbacks } = hearing('checkpoint-passed-over')
      const { values } = await run({
        ...quick,
        checkpoint: { dir: own, everySteps: 1, keep: 1 },
        resume: true,
        callbacks,
      })
      expect(heard, where).toEqual([])
      expect(values, where).toEqual(straight.values)
      expect(readdirSync(own), where).toEqual(['step-00000003'])
    }
    expect(failed).toBeGreaterThan(15)
  })

  it('everything fails from any call on, as when the process is killed there: the run goes on to the same bits', async () => {
    const straight = await run(quick)
    const { fs: counting, calls } = await faulty({})
    await run({ ...quick, ...until(2), checkpoint: { dir: `${dir}/counted`, everySteps: 1, keep: 1, fs: counting } })
    const from = new Set<number>()
    for (let at = calls.indexOf('list', calls.indexOf('flushFolder')); at < calls.length; at++) {
      const own = { dir: `${dir}/${at}`, everySteps: 1, keep: 1 }
      const { fs } = await faulty({ at, dead: true })
      await run({ ...quick, ...until(2), checkpoint: { ...own, fs } }).catch(() => {})
      const { heard, callbacks } = hearing('resumed')
      const { values } = await run({ ...quick, checkpoint: own, resume: true, callbacks })
      from.add(heard[0]!.step)
      expect(values, `call ${at}, ${calls[at]}`).toEqual(straight.values)
    }
    expect([...from].sort()).toEqual([1, 2])
  })

  it('writes that take a few bytes at a time', async () => {
    const { fs } = await faulty({ shortWrite: 1009 })
    await run({ ...until(2), checkpoint: { dir, fs } })
    expect((await run({ checkpoint: { dir }, resume: true })).values).toEqual((await run({})).values)
  })
})

describe('nothing is left behind by', () => {
  // `run` itself compares the count of tensors and bytes, also where it throws.
  it('callbacks that throw', async () => {
    const thrown = (): never => {
      throw new Error('mine')
    }
    const evaluation = { samples: samples.slice(0, 3) }
    for (const hook of ['onStart', 'onStep', 'onEvaluation', 'onEvent', 'onEnd'] as const) {
      const ends: TrainEnd[] = []
      const callbacks = [{ [hook]: thrown }, { onEnd: (end: TrainEnd) => void ends.push(end) }]
      const own = { dir: `${dir}/${hook}`, everySteps: 1 }
      await expect(run({ ...quick, callbacks, evaluation, checkpoint: own }), hook).rejects.toThrow('mine')
      if (hook !== 'onEnd') expect(ends, hook).toMatchObject([{ reason: 'failed', error: { message: 'mine' } }])
    }
    const [again] = [{ dir: `${dir}/onStep` }]
    await run({ ...quick, ...until(1), evaluation, checkpoint: again, resume: true })
    await expect(
      run({ ...quick, evaluation, checkpoint: again, resume: true, callbacks: [{ onEvent: thrown }] }),
    ).rejects.toThrow('mine')
  })
})
