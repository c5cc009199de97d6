import { countBase, forward, type Tuned } from '@graftjs/core'
import { collate, type Sample } from '@graftjs/data'
import type { Json, JsonObject } from '@graftjs/files'
import { simdInfo } from '@graftjs/kernels'
import type { Schedule } from '@graftjs/optim'
import { backendName, dispose, scope, sum } from '@graftjs/tensor'
import { GraftError } from '@graftjs/tensor/error'
import type { EvaluationOptions } from './evaluation.ts'
import { isMixed, samplesOf, type TrainData } from './plan-steps.ts'
import type { TrainOptions } from './train.ts'

/** What fixes the bits of a run. Threads, `keep` and the id of padding change none. */
type RunOptions = Pick<
  TrainOptions,
  | 'optimizer'
  | 'batchSize'
  | 'accumulate'
  | 'clip'
  | 'seed'
  | 'packing'
  | 'bucketing'
  | 'mixing'
  | 'neftuneNoiseAlpha'
  | 'nonFinite'
  | 'evaluation'
  | 'checkpoint'
> & { readonly schedule: Schedule; readonly steps: number }

/** The same as JSON, by names that a message may use. */
export const runFacts = async (tuned: Tuned, data: TrainData, options: RunOptions): Promise<JsonObject> => {
  const { optimizer, schedule, steps, batchSize = 8, accumulate = 1, clip = 0, seed = 0 } = options
  const { packing, bucketing = false, mixing, neftuneNoiseAlpha = 0, nonFinite = 'skip' } = options
  const { name } = tuned.model as { name?: string }
  const samples = samplesOf(data)
  return asJson({
    'kernel variant': kernelVariant(),
    model: {
      type: tuned.model.type,
      name: name?.split(/[\\/]/).filter(Boolean).at(-1),
      parameters: countBase(tuned.model),
    },
    method: tuned.method && { name: tuned.method.name, ...tuned.method.config },
    adapter: tuned.active,
    batchSize,
    accumulate,
    clip,
    seed,
    packing,
    bucketing,
    neftuneNoiseAlpha,
    nonFinite,
    ...(nonFinite === 'rollback' && { checkpointEvery: options.checkpoint?.everySteps }),
    evaluation: deciding(options.evaluation),
    steps,
    optimizer: { name: optimizer.name, ...optimizer.config },
    schedule: factors(schedule, steps),
    ...(isMixed(data) && { mixing, sets: data.map((set) => ({ name: set.name, count: set.samples.length })) }),
    rows: { count: samples.length, hash: hashRows(samples) },
    [PROBE]: await probe(tuned, samples),
  }) as JsonObject
}

/** Evaluations change what comes after them only where they may end the run. */
const deciding = (options: EvaluationOptions | undefined): Json | undefined => {
  if (!options?.earlyStopping) return undefined
  const { everySteps, metric = 'loss', greaterIsBetter = false, earlyStopping, samples } = options
  return asJson({ everySteps, metric, greaterIsBetter, earlyStopping, rows: samples && hashRows(samples) })
}

const PROBE = 'base loss of a row'

/**
 * One pass through the bare base: other weights under the same name, or a processor that rounds otherwise, show in its bits.
 * Null where no row has a token to predict.
 */
const probe = async (tuned: Tuned, samples: readonly Sample[]): Promise<number | null> => {
  const shift = tuned.model.labelShift ?? 1
  const row = samples.find(({ labels }) => labels.slice(shift).some((label) => label >= 0))
  if (!row) return null
  const batch = collate([row], { padId: 0 })
  const loss = scope(() => sum(forward(tuned, batch, { adapter: null }).nll(batch.labels)))
  const [value] = await loss.data()
  dispose(loss)
  return value!
}

/** The bits of a run are those of its kernels. */
export const kernelVariant = (): string => {
  const backend = backendName()
  return backend === 'simd' ? simdInfo()!.variant : backend
}

const asJson = (value: unknown): Json => JSON.parse(JSON.stringify(value)) as Json

/** A schedule is a function, so it is known by the factors it gives, at 33 steps at most. */
const factors = (schedule: Schedule, steps: number): Record<string, number> => {
  const count = Math.min(steps, 33)
  const at = (i: number): number => (count === 1 ? 0 : Math.round((i * (steps - 1)) / (count - 1)))
  return Object.fromEntries(Array.from({ length: count }, (_, i) => [`step ${at(i) + 1}`, schedule(at(i), steps)]))
}

/** Not against malice: two lanes of a multiplicative hash over all ids, labels and what else a row lists (segments, positions). */
const hashRows = (samples: readonly Sample[]): string => {
  let [a, b] = [0x811c9dc5, 0x9e3779b1]
  const add = (value: number): void => {
    a = Math.imul(a ^ value, 0x01000193)
    a ^= a >>> 15
    b = Math.imul(b ^ value, 0x85ebca6b)
    b ^= b >>> 13
  }
  for (const sample of samples) {
    const lists = Object.entries(sample).filter((entry): entry is [string, number[]] => Array.isArray(entry[1]))
    for (const [, list] of lists.sort(([x], [y]) => (x < y ? -1 : 1))) {
      add(list.length)
      for (const value of list) add(value)
    }
  }
  return [a, b].map((lane) => (lane >>> 0).toString(16).padStart(8, '0')).join('')
}

/** Refuses to go on from the checkpoint of another run, naming what differs on both sides. */
export const requireSameRun = (folder: string, given: JsonObject, recorded: JsonObject): void => {
  const [mine, theirs] = [flat(given), flat(recorded)]
  const all = [...new Set([...mine.keys(), ...theirs.keys()])].filter((key) => mine.get(key) !== theirs.get(key))
  if (all.length === 0) return
  // Other kernels or rows give another loss: that is no finding of its own.
  const differing = all.length > 1 ? all.filter((key) => key !== PROBE) : all
  const side = (facts: ReadonlyMap<string, string>): string =>
    differing
      .slice(0, 4)
      .map((key) => `${key} ${facts.get(key) ?? 'absent'}`)
      .join(', ') + (differing.length > 4 ? ', …' : '')
  const variant = theirs.get('kernel variant')
  const hint = differing.includes('kernel variant') ? `; GRAFT_KERNEL=${variant} picks that variant` : ''
  throw new GraftError({
    code: 'other-run',
    culprit: folder,
    given: `a run with ${side(mine)}`,
    expected: `that of the checkpoint: ${side(theirs)}${hint}`,
  })
}

/** Leaves by their keys joined with dots. A list is one leaf. */
const flat = (value: Json, path = ''): Map<string, string> => {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    return new Map([[path, typeof value === 'string' ? value : JSON.stringify(value)]])
  return new Map(Object.entries(value).flatMap(([key, inner]) => [...flat(inner, path ? `${path}.${key}` : key)]))
}
