import { readdirSync } from 'node:fs'
import { attach, type Tuned } from '@graftjs/core'
import { lora } from '@graftjs/lora'
import { adamw } from '@graftjs/optim'
import { memory } from '@graftjs/tensor'
import {
  checkpointedRun,
  type EvaluationOptions,
  type EvaluationReport,
  evaluate,
  type TrainOptions,
  type TrainResult,
  train,
} from '@graftjs/trainer'
import { describe, expect, it } from 'vitest'
import { resumeSamples } from './support/resume-run.ts'
import { hashOf, withFolder, withTinyLlama } from './support/set-up.ts'

const base = withTinyLlama()
const folder = withFolder()

const [samples, held] = [resumeSamples.slice(0, 8), resumeSamples.slice(8)]
const valuesOf = (tuned: Tuned): Map<string, string> =>
  new Map([...tuned.params.all].map(([path, { value }]) => [path, hashOf(value.dataSync())]))

interface Run {
  readonly result: TrainResult
  readonly reports: EvaluationReport[]
  readonly events: string[]
  /** Parameters at the end, and after each step. */
  readonly values: Map<string, string>
  readonly after: Map<number, Map<string, string>>
}

const run = async (evaluation: EvaluationOptions, { signal, ...options }: Partial<TrainOptions> = {}): Promise<Run> => {
  const [tuned, optimizer] = [
    attach(base.model, lora({ r: 4, loraDropout: 0.2, targetModules: ['q_proj', 'down_proj'] }), { seed: 1 }),
    adamw(1e-2),
  ]
  const [reports, events, after] = [[] as EvaluationReport[], [] as string[], new Map<number, Map<string, string>>()]
  const watch = {
    onStart: ({ done }: { done: number }) => void after.set(done, valuesOf(tuned)),
    onStep: ({ step }: { step: number }) => void after.set(step, valuesOf(tuned)),
    onEvaluation: (report: EvaluationReport) => void reports.push(report),
    onEvent: ({ message }: { message: string }) => void events.push(message),
  }
  try {
    const common = { steps: 8, batchSize: 4, seed: 5, ...(signal && { signal }) }
    const callbacks = [watch, ...(options.callbacks ?? [])]
    const result = await train(tuned, samples, { ...common, ...options, evaluation, optimizer, callbacks })
    return { result, reports, events, values: valuesOf(tuned), after }
  } finally {
    optimizer.dispose()
    tuned.dispose()
  }
}

/** A metric that has these values, one evaluation after the other, by the step. */
const scripted = (values: readonly number[], everySteps = 2): EvaluationOptions => {
  let [at, step] = [0, 0]
  return {
    everySteps,
    metric: 'score',
    metrics: async () => ({ score: values[at++]!, step: step++ }),
  }
}

describe('evaluation', () => {
  it('comes before the first step, each so many steps and after the last, and changes no bit of the run', async () => {
    const bare = await run({ samples: held })
    const before = memory()
    const { result, reports, values } = await run({ samples: held, everySteps: 3, batchSize: 2 })
    expect(memory()).toEqual(before)
    expect(reports.map(({ step }) => step)).toEqual([0, 3, 6, 8])
    expect(values).toEqual(bare.values)
    expect(bare.reports.map(({ step }) => step)).toEqual([0, 8])
    expect(result.evaluations).toEqual(reports.map(({ step, metrics }) => ({ step, metrics })))
    expect(reports[0]!.metrics.loss).toBeCloseTo(bare.reports[0]!.metrics.loss!, 5)
    expect(reports.filter(({ best }) => best).at(-1)!.step).toBe(result.best!.step)
    expect(Math.min(...reports.map(({ metrics }) => metrics.loss!))).toBe(result.best!.metrics.loss)
  })

  it('is the loss a supervised token, whatever the batches', async () => {
    const tuned = attach(base.model, lora({ r: 4 }), { seed: 1 })
    const before = memory()
    const [one, all] = [
      await evaluate(tuned, held, { batchSize: 1 }),
      await evaluate(tuned, held, { batchSize: held.length }),
    ]
    expect(Math.abs(one / all - 1)).toBeLessThan(1e-6)
    await expect(evaluate(tuned, [{ ids: [3, 4], labels: [-100, -100], source: 0 }])).rejects.toThrow(
      /samples: given 1 rows without a supervised token/,
    )
    expect(memory()).toEqual(before)
    tuned.dispose()
  })

  it('brings what the model says to prompts', async () => {
    const continuations = async (): Promise<{ prompt: string; text: string }[]> => [{ prompt: 'a', text: 'b' }]
    const { reports } = await run({ continuations })
    expect(reports.map(({ step, continuations, metrics, best }) => ({ step, continuations, metrics, best }))).toEqual([
      { step: 0, continuations: [{ prompt: 'a', text: 'b' }], metrics: {}, best: false },
      { step: 8, continuations: [{ prompt: 'a', text: 'b' }], metrics: {}, best: false },
    ])
  })
})

const meanOfB = (tuned: Tuned): number => {
  const b = [...tuned.params.all]
    .filter(([path]) => path.includes('lora_B'))
    .flatMap(([, p]) => [...p.value.dataSync()])
  return b.reduce((sum, x) => sum + Math.abs(x), 0) / b.length
}

describe('early stopping', () => {
  it('ends the run once patience has run out; the best stays on disk and comes back', async () => {
    const evaluation = { ...scripted([5, 3, 4, 3, 9]), earlyStopping: { patience: 2 } }
    const checkpoint = { dir: folder.dir, keep: 1 }
    const { result, events, values, after } = await run(evaluation, { checkpoint, steps: 20 })
    expect(result).toMatchObject({ steps: 6, reason: 'stopped-early', finished: true, best: { step: 2 } })
    expect(events.filter((message) => !message.startsWith('checkpoint'))).toEqual([
      'stopped early: 2 evaluations in a row and none better than that of step 2',
      'the parameters are those of step 2, the best evaluation',
    ])
    expect(values).toEqual(after.get(2))
    expect(readdirSync(folder.dir).sort()).toEqual(['step-00000002', 'step-00000006'])
    expect(await checkpointedRun(folder.dir)).toMatchObject({ step: 6, steps: 20, finished: true })
    // A run that was ended so is over: taking it up again gives the same.
    const again = await run({ ...evaluation, ...scripted([]) }, { checkpoint, steps: 20, resume: true })
    expect(again.values).toEqual(values)
    expect(again.reports).toEqual([])
  })

  it('counts only what is better by minDelta; the greatest is best where so asked; NaN never is', async () => {
    const greatest = { ...scripted([1, 1.05, Number.NaN, 2]), greaterIsBetter: true }
    const { result, reports } = await run({ ...greatest, earlyStopping: { patience: 3, minDelta: 0.1 } }, { steps: 6 })
    expect(reports.map(({ best }) => best)).toEqual([true, false, false, true])
    expect(result).toMatchObject({ reason: 'finished', best: { step: 6 } })
  })

  it('is the same when the run is resumed at any step', async () => {
    const evaluation = (): EvaluationOptions => ({
      samples: held,
      everySteps: 2,
      metric: 'worse',
      // B starts at 0 and grows by about the learning rate a step: this falls first and then rises.
      metrics: async (tuned) => ({ worse: Math.abs(meanOfB(tuned) - 0.05) }),
      earlyStopping: { patience: 2 },
      restoreBest: true,
    })
    const straight = await run(evaluation(), { steps: 40, checkpoint: { dir: `${folder.dir}/straight` } })
    expect(straight.result.reason).toBe('stopped-early')
    const stopped = straight.result.steps
    expect(stopped).toBeGreaterThan(4)
    for (let k = 1; k < stopped; k++) {
      const abort = new AbortController()
      const callbacks = [{ onStep: ({ step }: { step: number }) => void (step === k && abort.abort()) }]
      const checkpoint = { dir: `${folder.dir}/${k}`, keep: 1 }
      await run(evaluation(), { steps: 40, checkpoint, signal: abort.signal, callbacks })
      const resumed = await run(evaluation(), { steps: 40, checkpoint, resume: true })
      expect(resumed.result.evaluations, `k = ${k}`).toEqual(straight.result.evaluations)
      expect(resumed.result.losses, `k = ${k}`).toEqual(straight.result.losses)
      expect(resumed.values, `k = ${k}`).toEqual(straight.values)
    }
  })

  it.each<[EvaluationOptions, RegExp]>([
    [{ samples: held, earlyStopping: { patience: 2 } }, /evaluation\.earlyStopping: given patience without everySteps/],
    [{ everySteps: 2, earlyStopping: { patience: 2 } }, /evaluation\.metric: given "loss"; expected rows to measure/],
    [{ ...scripted([1]), metric: 'f1', earlyStopping: { patience: 2 } }, /given "f1"; expected one of score, step/],
    [{ samples: held, restoreBest: true }, /evaluation\.restoreBest: given true without checkpoint/],
    [{ samples: [] }, /evaluation\.samples: given none/],
    [{ samples: held, everySteps: 0 }, /evaluation\.everySteps: given 0; expected a whole number ≥ 1/],
  ])('%o is refused', async (evaluation, message) => {
    const before = memory()
    await expect(run(evaluation)).rejects.toThrow(message)
    expect(memory()).toEqual(before)
  })
})
