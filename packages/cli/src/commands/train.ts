import { readFile } from 'node:fs/promises'
import { attach, type Method, type Tuned } from '@graftjs/core'
import { encodeExamples, promptCompletion, readJsonl, type Sample } from '@graftjs/data'
import { listCheckpoints, removeCheckpoints } from '@graftjs/files'
import { useSimd, type Variant } from '@graftjs/kernels'
import { type LoadedModel, loadModel, saveAdapter } from '@graftjs/models'
import { adamw, constant, cosine, linear } from '@graftjs/optim'
import { GraftError } from '@graftjs/tensor/error'
import { checkpointedRun, evaluate, progress, train as runTraining, type TrainResult } from '@graftjs/trainer'
import { type Command, printJson, say } from '../command.ts'
import { methodOf } from '../methods.ts'
import { onSignals, type StopSignal } from '../on-signals.ts'
import { type Recipe, readRecipe } from '../recipe.ts'
import { trainingLog } from '../training-log.ts'

export const train: Command = {
  summary: 'tune a model by a recipe',
  usage: ['RECIPE [--resume] [--json]'],
  about: `RECIPE is a file in YAML (.yaml) or JSON that says what to train on what: graft new writes one with comments. Its folder
\`out\` gets the adapter (adapter_config.json, adapter_model.safetensors), log.jsonl and checkpoints.

Ctrl-C (SIGINT) or SIGTERM ends the run after the step under way and leaves a checkpoint; a second one ends it at once.
--resume goes on from the newest checkpoint in the folder, to the same adapter byte for byte; also after a crash, where
training.checkpointEvery says how often one is written.`,
  options: {
    resume: { about: 'goes on from the newest checkpoint' },
    json: { about: 'prints the result as JSON on stdout' },
  },
  operands: [{ name: 'RECIPE', optional: true, complete: 'file' }],
  run: async ({ values, operands: [file] }) => {
    if (!file)
      throw new GraftError({
        code: 'bad-option',
        culprit: 'arguments',
        given: 'no file',
        expected: 'a recipe: graft train RECIPE; `graft new` writes one',
      })
    const recipe = readRecipe(await readText(file), file)
    const method = saveable(methodOf(recipe.method))
    const resume = values.resume === true
    await (resume ? useRecordedKernels(recipe) : clearFinished(recipe))
    const trainFile = oneFile(recipe)
    const trainRows = await readText(trainFile)
    const evalRows = recipe.data.eval === undefined ? undefined : await readText(recipe.data.eval)
    const model = await loadModel(recipe.model)
    const samples = encode(model, recipe, trainRows, trainFile)
    const held = evalRows === undefined ? undefined : encode(model, recipe, evalRows, recipe.data.eval!)
    const tuned = attach(model, method, { seed: recipe.training?.seed ?? 0 })
    say(tuned.describe())
    const before = held && (await evaluate(tuned, held))
    if (before !== undefined) say(`eval loss before: ${before.toFixed(4)}`)
    const { losses, steps, finished, stopped } = await tune(tuned, samples, recipe, resume)
    if (stopped && !finished) {
      say(`stopped by ${stopped.signal} after step ${steps}; go on with: graft train ${file} --resume`)
      return stopped.exitCode
    }
    const after = held && (await evaluate(tuned, held))
    if (after !== undefined) say(`eval loss after: ${after.toFixed(4)}`)
    await saveAdapter(tuned, recipe.out)
    say(`adapter written to ${recipe.out}`)
    if (values.json)
      printJson({
        out: recipe.out,
        steps: losses.length,
        losses,
        ...(held && { evalBefore: before, evalAfter: after }),
      })
    return 0
  },
}

const checkpointsOf = ({ out }: Recipe): string => `${out}/checkpoints`

/** Said before the model is loaded. The bits of a run are those of its kernels, and which are fastest is measured anew each time. */
const useRecordedKernels = async (recipe: Recipe): Promise<void> => {
  const dir = checkpointsOf(recipe)
  const run = await checkpointedRun(dir)
  if (!run && (await listCheckpoints(dir)).length === 0)
    throw new GraftError({
      code: 'no-checkpoint',
      culprit: dir,
      given: 'no checkpoint',
      expected: 'one for --resume to go on from; without --resume the run starts anew',
    })
  if (run && process.env.GRAFT_KERNEL === undefined && kernels.includes(run.variant))
    await useSimd({ variant: run.variant as Variant })
}
const kernels: readonly string[] = ['plain', 'relaxed', 'wide'] satisfies Variant[]

/** Said before the model is loaded. A run that is finished may be made anew; one that is not is not thrown away. */
const clearFinished = async (recipe: Recipe): Promise<void> => {
  const dir = checkpointsOf(recipe)
  const run = await checkpointedRun(dir)
  if (run && !run.finished)
    throw new GraftError({
      code: 'checkpoints-exist',
      culprit: dir,
      given: `a run that was interrupted after step ${run.step} of ${run.steps}`,
      expected: '--resume to go on with it, or the folder removed to start anew',
    })
  await removeCheckpoints(dir)
}

/** Said before the training, not after it. */
const saveable = (method: Method): Method => {
  if (method.kind) return method
  throw new GraftError({
    code: 'not-saveable',
    culprit: 'recipe: method',
    given: method.name,
    expected: 'a method with a file format of its own: hybrids cannot be written to disk yet; train them in code',
  })
}

const oneFile = ({ data: { train: sets } }: Recipe): string => {
  if (typeof sets === 'string') return sets
  if (sets.length === 1) return sets[0]!.path
  throw new GraftError({
    code: 'bad-recipe',
    culprit: 'data.train',
    given: `${sets.length} files`,
    expected: 'one file',
  })
}

const readText = (path: string): Promise<string> =>
  readFile(path, 'utf8').catch((cause: Error) => {
    throw new GraftError({
      code: 'no-file',
      culprit: path,
      message: `${path}: cannot be read (${cause.message})`,
      cause,
    })
  })

const encode = (model: LoadedModel, { data, model: name }: Recipe, text: string, file: string): Sample[] => {
  const { tokenizer, config } = model
  if (!tokenizer)
    throw new GraftError({
      code: 'no-tokenizer',
      culprit: name,
      given: 'a model without tokenizer.json',
      expected: 'one with it',
    })
  const rows = readJsonl(text, { name: file, row: promptCompletion })
  const maxLength = Math.min(data.maxLength ?? config.maxPositionEmbeddings, config.maxPositionEmbeddings)
  const { samples, apart } = encodeExamples(tokenizer, rows, { maxLength, chat: data.chat ?? false, name: file })
  if (apart > 0)
    say(
      `${apart} rows of ${file}: prompt and completion were encoded apart, because together they make a token that spans both`,
    )
  return samples
}

interface Tuning extends TrainResult {
  readonly stopped: { readonly signal: StopSignal; readonly exitCode: number } | undefined
}

const tune = async (tuned: Tuned, samples: readonly Sample[], recipe: Recipe, resume: boolean): Promise<Tuning> => {
  const { checkpointEvery: everySteps, keepCheckpoints: keep, ...training } = recipe.training ?? {}
  const warmup = { warmupRatio: training.warmupRatio ?? 0 }
  const schedule = { constant, linear, cosine }[training.schedule ?? 'linear'](warmup)
  const optimizer = adamw({ learningRate: training.learningRate ?? 2e-4, weightDecay: training.weightDecay ?? 0 })
  const live = process.stderr.isTTY === true
  const write = (text: string): void => void process.stderr.write(text)
  const log = trainingLog(`${recipe.out}/log.jsonl`)
  const abort = new AbortController()
  let stopped: Tuning['stopped']
  const forget = onSignals((signal, exitCode) => {
    stopped = { signal, exitCode }
    say(`${live ? '\n' : ''}${signal}: finishing the step; once more ends at once`)
    abort.abort()
  })
  try {
    const result = await runTraining(tuned, samples, {
      ...training,
      optimizer,
      schedule,
      signal: abort.signal,
      checkpoint: { dir: checkpointsOf(recipe), everySteps, keep },
      resume,
      callbacks: [
        progress({ live, write }),
        { onStart: ({ done }) => log.start(done), onStep: (report) => log.add(report) },
      ],
    })
    return { ...result, stopped }
  } finally {
    forget()
    optimizer.dispose()
  }
}
