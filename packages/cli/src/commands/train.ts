import { attach, type Method } from '@graftjs/core'
import { describeEncoded } from '@graftjs/data'
import { listCheckpoints, removeCheckpoints } from '@graftjs/files'
import { useSimd, type Variant } from '@graftjs/kernels'
import { type LoadedModel, loadModel, saveAdapter } from '@graftjs/models'
import { GraftError } from '@graftjs/tensor/error'
import { type CheckpointedRun, checkpointedRun } from '@graftjs/trainer'
import { type Command, printJson, say } from '../command.ts'
import { methodOf } from '../methods.ts'
import { openTokenizer } from '../open-tokenizer.ts'
import { type ReadData, readData } from '../read-data.ts'
import { readText } from '../read-text.ts'
import { type Recipe, readRecipe } from '../recipe.ts'
import { checkpointsOf, type Tuning, tune } from '../tune.ts'

export const train: Command = {
  summary: 'tune a model by a recipe',
  usage: ['RECIPE [--resume] [--json]'],
  about: `RECIPE is a file in YAML (.yaml) or JSON that says what to train on what: graft new writes one with comments. Its folder
\`out\` gets the adapter (adapter_config.json, adapter_model.safetensors), report.html, log.jsonl and checkpoints.

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
    const now = dayOf(await (resume ? useRecordedKernels(recipe) : clearFinished(recipe)))
    // Before the weights: a row with a fault is said at once.
    const data = await readData(recipe.data, await openTokenizer(recipe.model), { now })
    sayData(data)
    const model = ofText(await loadModel(recipe.model))
    const tuned = attach(model, method, { seed: recipe.training?.seed ?? 0 })
    say(tuned.describe())
    const result = await tune(tuned, model, recipe, data, { resume, now })
    if (result.stopped && !result.finished) {
      say(`stopped by ${result.stopped.signal} after step ${result.steps}; go on with: graft train ${file} --resume`)
      return result.stopped.exitCode
    }
    await saveAdapter(tuned, recipe.out)
    say(`adapter written to ${recipe.out}`)
    if (recipe.logging?.report !== false) say(`report written to ${recipe.out}/report.html`)
    if (values.json) printJson(summaryOf(recipe, result))
    return 0
  },
}

const summaryOf = ({ out }: Recipe, { steps, losses, evaluations, best, reason }: Tuning): object => {
  const [before, after] = [evaluations[0]?.metrics.loss, evaluations.at(-1)?.metrics.loss]
  return {
    out,
    steps,
    reason,
    losses,
    ...(before !== undefined && { evalBefore: before, evalAfter: after }),
    ...(best && { best }),
  }
}

const sayData = ({ train, eval: held }: ReadData): void => {
  for (const { name, encoded } of [...train, ...(held ? [held] : [])])
    for (const line of describeEncoded(encoded, name)) say(line)
}

/** What templates take for today: a run that is resumed goes on with the day of its start. */
const dayOf = (run: CheckpointedRun | undefined): Date =>
  typeof run?.note.now === 'string' ? new Date(run.note.now) : new Date()

/** Said before the model is loaded. The bits of a run are those of its kernels, and which are fastest is measured anew each time. */
const useRecordedKernels = async (recipe: Recipe): Promise<CheckpointedRun | undefined> => {
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
  return run
}
const kernels: readonly string[] = ['plain', 'relaxed', 'wide'] satisfies Variant[]

/** Said before the model is loaded. A run that is finished may be made anew; one that is not is not thrown away. */
const clearFinished = async (recipe: Recipe): Promise<undefined> => {
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

/** Its rows are texts to go on with: a classifier or an encoder-decoder would learn something else from them. */
const ofText = (model: LoadedModel): LoadedModel => {
  if (model.task === 'causal-lm') return model
  model.dispose()
  throw new GraftError({
    code: 'unsupported-task',
    culprit: 'recipe: model',
    given: `${model.name}, of the task ${model.task}`,
    expected: 'one of the task causal-lm; train others in code, as docs/tasks.md shows',
  })
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
