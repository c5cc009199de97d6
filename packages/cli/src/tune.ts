import { countBase, type Tuned } from '@graftjs/core'
import { type Sample, samplePieces } from '@graftjs/data'
import type { Json } from '@graftjs/files'
import { simdInfo } from '@graftjs/kernels'
import type { LoadedModel } from '@graftjs/models'
import { adamw, constant, cosine, linear } from '@graftjs/optim'
import {
  jsonlLog,
  progress,
  report,
  type TrainCallbacks,
  type TrainOptions,
  type TrainResult,
  tensorBoardLog,
  train,
} from '@graftjs/trainer'
import { say } from './command.ts'
import { tokenizerOf } from './commands/open-model.ts'
import { continuations } from './continuations.ts'
import { onSignals, type StopSignal } from './on-signals.ts'
import type { ReadData } from './read-data.ts'
import type { Recipe } from './recipe.ts'

export interface TuneOptions {
  readonly resume: boolean
  /** What chat templates took for today. */
  readonly now: Date
}

export interface Tuning extends TrainResult {
  readonly stopped: { readonly signal: StopSignal; readonly exitCode: number } | undefined
}

export const checkpointsOf = ({ out }: Recipe): string => `${out}/checkpoints`

/** Trains as the recipe says, in a way that Ctrl-C can end. */
export const tune = async (
  tuned: Tuned,
  model: LoadedModel,
  recipe: Recipe,
  data: ReadData,
  { resume, now }: TuneOptions,
): Promise<Tuning> => {
  const {
    checkpointEvery: everySteps,
    keepCheckpoints: keep,
    schedule,
    warmupRatio,
    learningRate,
    weightDecay,
    ...training
  } = recipe.training ?? {}
  const optimizer = adamw({ learningRate: learningRate ?? 2e-4, weightDecay: weightDecay ?? 0 })
  const abort = new AbortController()
  let stopped: Tuning['stopped']
  const forget = onSignals((signal, exitCode) => {
    stopped = { signal, exitCode }
    say(`\n${signal}: finishing the step; once more ends at once`)
    abort.abort()
  })
  const sets = data.train.map(({ name, encoded }) => ({ name, samples: encoded.samples }))
  try {
    const result = await train(tuned, sets.length === 1 ? sets[0]!.samples : sets, {
      ...training,
      ...rowsOf(recipe, model, data),
      optimizer,
      schedule: { constant, linear, cosine }[schedule ?? 'linear']({ warmupRatio: warmupRatio ?? 0 }),
      ...evaluationOf(recipe, model, data),
      signal: abort.signal,
      checkpoint: { dir: checkpointsOf(recipe), everySteps, keep, note: { now: now.toISOString() } },
      resume,
      callbacks: callbacksOf(tuned, model, recipe, data),
    })
    return { ...result, stopped }
  } finally {
    forget()
    optimizer.dispose()
  }
}

/** Rows this long are enough where the recipe does not say and the model could read far more. */
const PACKED = 512

const rowsOf = ({ data }: Recipe, model: LoadedModel, { train }: ReadData): Partial<TrainOptions> => {
  const context = model.config.maxPositionEmbeddings
  const longest = Math.max(...train.map(({ encoded }) => encoded.summary.longest))
  const maxLength = Math.min(data.maxLength ?? Math.max(PACKED, longest), context)
  const strategy = data.packing === 'wrapped' ? 'wrapped' : 'best-fit'
  return {
    ...(data.packing && { packing: { maxLength, strategy } }),
    ...(data.bucketing && { bucketing: true }),
    ...(data.mixing && { mixing: data.mixing }),
  }
}

const evaluationOf = (
  { data, evaluation = {} }: Recipe,
  model: LoadedModel,
  { eval: held, chat }: ReadData,
): Pick<TrainOptions, 'evaluation'> => {
  const { every: everySteps, prompts, maxNewTokens = 64, ...more } = evaluation
  if (!held && !prompts) return {}
  const options = {
    ...more,
    ...(everySteps !== undefined && { everySteps }),
    ...(held && { samples: held.encoded.samples }),
    ...(prompts && { continuations: continuations(model, { prompts, chat, system: data.system, maxNewTokens }) }),
  }
  return { evaluation: options }
}

const callbacksOf = (tuned: Tuned, model: LoadedModel, recipe: Recipe, data: ReadData): TrainCallbacks[] => {
  const { out, logging = {} } = recipe
  const log = `${out}/log.jsonl`
  return [
    progress({ live: process.stderr.isTTY === true, write: (text) => void process.stderr.write(text) }),
    jsonlLog(log),
    ...(logging.tensorboard ? [tensorBoardLog(`${out}/tensorboard`)] : []),
    ...(logging.report === false ? [] : [reportOf(tuned, model, recipe, data, log)]),
  ]
}

/** So many rows, and so many tokens of each, of the excerpt that shows the mask. */
const [ROWS, TOKENS] = [3, 400]

const reportOf = (
  tuned: Tuned,
  model: LoadedModel,
  recipe: Recipe,
  { train }: ReadData,
  log: string,
): TrainCallbacks => {
  const tokenizer = tokenizerOf(model)
  const cut = ({ ids, labels, source }: Sample): Sample => ({
    ids: ids.slice(0, TOKENS),
    labels: labels.slice(0, TOKENS),
    source,
  })
  const trainable = [...tuned.params.all.values()].reduce((n, { value }) => n + value.size, 0)
  const simd = simdInfo()
  return report({
    path: `${recipe.out}/report.html`,
    log,
    title: `${recipe.model.split(/[\\/]/).at(-1)} with ${tuned.method?.name}`,
    recipe: recipe as unknown as Json,
    versions: { node: process.version },
    facts: {
      model: recipe.model,
      method: tuned.method?.name ?? '',
      rows: train.map(({ name, encoded }) => `${encoded.summary.rows} of ${name}`).join(', '),
      ...(simd && { kernels: `${simd.variant}, ${simd.threads} threads` }),
    },
    parameters: { trainable, all: trainable + countBase(model) },
    mask: train
      .flatMap(({ encoded }) => encoded.samples.slice(0, ROWS))
      .slice(0, ROWS)
      .map((sample) =>
        samplePieces(cut(sample), tokenizer).map(({ text, learnt, special }) => ({ text, learnt, special })),
      ),
    onFault: (error) => say(`the report could not be written: ${(error as Error).message}`),
  })
}
