import { all, attach } from '@graftjs/core'
import { lora } from '@graftjs/lora'
import { adamw } from '@graftjs/optim'
import { memory } from '@graftjs/tensor'
import { type TrainCallbacks, type TrainEvent, type TrainOptions, type TrainResult, train } from '@graftjs/trainer'
import { describe, expect, it } from 'vitest'
import { poison, type Where } from './support/poison.ts'
import { resumeSamples as samples } from './support/resume-run.ts'
import { hashOf, withFolder, withTinyLlama } from './support/set-up.ts'

const base = withTinyLlama()
const folder = withFolder()

interface Run {
  readonly result: TrainResult | undefined
  readonly error: Error | undefined
  readonly events: TrainEvent[]
  /** Parameters and moments after each step, by number; 0: at the start. */
  readonly after: Map<number, object>
}

/** A run in which one number is not finite in each of `steps`. */
const run = async (
  where: Where,
  steps: readonly number[],
  { callbacks = [], ...options }: Partial<TrainOptions> = {},
): Promise<Run> => {
  let now = 0
  const method = all(
    poison(where, () => steps.includes(now)),
    lora({ r: 4, loraDropout: 0.2, targetModules: 'all-linear' }),
  )
  const [tuned, optimizer] = [attach(base.model, method, { seed: 1 }), adamw(1e-2)]
  const [events, after] = [[] as TrainEvent[], new Map<number, object>()]
  const note = async (step: number): Promise<void> => {
    const values = [...tuned.params.all].map(([path, { value }]) => [path, hashOf(value.dataSync())])
    const state = [...(await optimizer.state())].map(([name, { data }]) => [name, hashOf(data)] as const)
    state.sort(([a], [b]) => (a < b ? -1 : 1))
    after.set(step, { values, state })
  }
  const watch: TrainCallbacks = {
    onStart: async ({ done }) => {
      now = done + 1
      await note(done)
    },
    onStep: async ({ step }) => {
      now = step + 1
      await note(step)
    },
    onEvent: (event) => void events.push(event),
  }
  let [result, error] = [undefined as TrainResult | undefined, undefined as Error | undefined]
  try {
    const common = { steps: 5, batchSize: 3, accumulate: 2, clip: 0.5, seed: 5 }
    result = await train(tuned, samples, { ...common, ...options, optimizer, callbacks: [watch, ...callbacks] })
  } catch (e) {
    error = e as Error
  } finally {
    await note(-1)
    optimizer.dispose()
    tuned.dispose()
  }
  return { result, error, events, after }
}

/** The second micro-batch's rows are among the culprits as well: the spot is poisoned in every pass of the step. */
const found: Record<Where, RegExp> = {
  loss: /^step 3 is skipped: a loss of NaN; rows \d+, \d+ of the data$/,
  gradient: /^step 3 is skipped: a gradient norm of NaN; in the gradient of model\.layers\.0\./,
  activation: /^step 3 is skipped: a loss of NaN; first at model\.layers\.1\.mlp; rows \d+, \d+ of the data$/,
  embedding: /^step 3 is skipped: a loss of NaN; first at model\.embed_tokens; rows \d+, \d+ of the data$/,
}

describe.each(Object.keys(found) as Where[])('a NaN in the %s', (where) => {
  it('skips the step: parameters and moments untouched, found in that step, named, nothing left behind', async () => {
    await run(where, [])
    const before = memory()
    const { result, events, after } = await run(where, [3])
    expect(events.map(({ code, step }) => [code, step])).toEqual([['non-finite', 3]])
    expect(events[0]!.message).toMatch(found[where])
    expect(after.get(3)).toEqual(after.get(2))
    expect(after.get(4)).not.toEqual(after.get(3))
    expect(result!.losses.map(Number.isFinite)).toEqual([true, true, false, true, true])
    expect(memory()).toEqual(before)
  })

  it('ends the run where asked to, the parameters as before the step', async () => {
    const before = memory()
    const { error, after } = await run(where, [3], { nonFinite: 'stop' })
    expect(error).toMatchObject({ code: 'non-finite', culprit: 'step 3' })
    expect(error!.message).toMatch(/the parameters are as they were before this step$/)
    expect(after.get(-1)).toEqual(after.get(2))
    expect(memory()).toEqual(before)
  })
})

describe('steps that are skipped', () => {
  it('go back to the newest periodic checkpoint by rollback, resumed or not', async () => {
    const options: Partial<TrainOptions> = { steps: 6, nonFinite: 'rollback' }
    const at = (name: string): Partial<TrainOptions> => ({
      ...options,
      checkpoint: { dir: `${folder.dir}/${name}`, everySteps: 2, keep: 1 },
    })
    const straight = await run('activation', [4], at('straight'))
    expect(straight.events.filter(({ code }) => code !== 'checkpoint').map(({ message }) => message)).toEqual([
      expect.stringMatching(/^step 4 is skipped: a loss of NaN; first at/),
      'the parameters are those of step 2 again',
    ])
    // What the fourth step would have been is gone, and so is the third.
    expect(straight.after.get(4)).toEqual(straight.after.get(3))
    expect(straight.after.get(-1)).toEqual(straight.after.get(6))
    for (let k = 1; k < 6; k++) {
      const abort = new AbortController()
      const callbacks = [{ onStep: ({ step }: { step: number }) => void (step === k && abort.abort()) }]
      await run('activation', [4], { ...at(`${k}`), signal: abort.signal, callbacks })
      const resumed = await run('activation', [4], { ...at(`${k}`), resume: true })
      expect(resumed.after.get(-1), `k = ${k}`).toEqual(straight.after.get(-1))
      expect(resumed.result!.losses, `k = ${k}`).toEqual(straight.result!.losses)
    }
  })

  it('go back to the start by rollback before the first periodic checkpoint', async () => {
    const { after, events } = await run('loss', [2], {
      nonFinite: 'rollback',
      checkpoint: { dir: folder.dir, everySteps: 4 },
      steps: 2,
    })
    expect(events.map(({ code }) => code)).toEqual(['checkpoint', 'non-finite', 'rolled-back', 'checkpoint'])
    expect(after.get(-1)).toEqual(after.get(0))
  })

  it('end the run after ten in a row, or where no step was made at all', async () => {
    const ten = Array.from({ length: 20 }, (_, i) => i + 3)
    const { error, events, after } = await run('loss', ten, { steps: 20 })
    expect(error!.message).toMatch(/^step 12: given a loss of NaN; rows .*, the 10th step in a row; expected finite/)
    expect(events).toHaveLength(9)
    expect(after.get(-1)).toEqual(after.get(2))
    expect((await run('loss', [1, 2], { steps: 2 })).error).toMatchObject({ code: 'non-finite' })
  })

  it('are the same when the run is resumed after one', async () => {
    const straight = await run('loss', [2])
    const abort = new AbortController()
    const callbacks = [{ onStep: ({ step }: { step: number }) => void (step === 3 && abort.abort()) }]
    await run('loss', [2], { checkpoint: { dir: folder.dir }, signal: abort.signal, callbacks })
    const resumed = await run('loss', [2], { checkpoint: { dir: folder.dir }, resume: true })
    expect(resumed.after.get(5)).toEqual(straight.after.get(5))
    expect(resumed.result!.losses).toEqual(straight.result!.losses)
  })

  it.each([
    [{ nonFinite: 'rollback' }, /nonFinite: given rollback without checkpoint\.everySteps; expected checkpoints/],
    [{ nonFinite: 'ignore' }, /nonFinite: given ignore; expected skip, stop or rollback/],
    [{ gradientCheck: true }, /gradientCheck: given true; expected error, warn or off/],
    [{ neftuneNoiseAlpha: -1 }, /neftuneNoiseAlpha: given -1; expected a number ≥ 0/],
  ])('%o is refused', async (options, message) => {
    expect((await run('loss', [], options as Partial<TrainOptions>)).error!.message).toMatch(message)
  })
})
