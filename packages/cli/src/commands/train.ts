import { appendFile, mkdir, readFile, writeFile } from 'node:fs/promises'
import { attach, forward, type Method, type Tuned } from '@graftjs/core'
import { collate, countTargets, encodeExamples, promptCompletion, readJsonl, type Sample } from '@graftjs/data'
import { simdInfo } from '@graftjs/kernels'
import { type LoadedModel, loadModel, saveAdapter } from '@graftjs/models'
import { adamw, constant, cosine, linear } from '@graftjs/optim'
import { scope, sum } from '@graftjs/tensor'
import { GraftError } from '@graftjs/tensor/error'
import { progress, train as runTraining } from '@graftjs/trainer'
import { type Command, parse, printJson, say } from '../command.ts'
import { methodOf } from '../methods.ts'
import { type Recipe, readRecipe } from '../recipe.ts'

export const train: Command = {
  summary: 'tune a model by a recipe',
  help: `graft train RECIPE.json [--json]

The recipe: {"format":"graft-recipe","version":1,"model":M,"method":{"name":"lora",…config},"data":{"train":"rows.jsonl",…},
"training":{…},"out":DIR}. Rows are {"prompt":…,"completion":…}; the loss is on the completion. DIR gets the adapter
(adapter_config.json, adapter_model.safetensors) and log.jsonl. --json prints the result as JSON.`,
  run: async (args) => {
    const { values, positionals } = parse(args, { json: { type: 'boolean' } }, 1)
    const file = positionals[0]
    if (!file || positionals.length > 1)
      throw new GraftError({
        code: 'bad-option',
        culprit: 'arguments',
        given: `${positionals.length} files`,
        expected: 'one recipe: graft train RECIPE.json',
      })
    const recipe = readRecipe(await readText(file), file)
    const method = saveable(methodOf(recipe.method))
    const trainRows = await readText(recipe.data.train)
    const evalRows = recipe.data.eval === undefined ? undefined : await readText(recipe.data.eval)
    const model = await loadModel(recipe.model)
    const samples = encode(model, recipe, trainRows, recipe.data.train)
    const held = evalRows === undefined ? undefined : encode(model, recipe, evalRows, recipe.data.eval!)
    const tuned = attach(model, method, { seed: recipe.training?.seed ?? 0 })
    say(tuned.describe())
    const before = held && evaluate(tuned, held)
    if (before !== undefined) say(`eval loss before: ${before.toFixed(4)}`)
    const losses = await tune(tuned, samples, recipe)
    const after = held && evaluate(tuned, held)
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
  },
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

const tune = async (
  tuned: Tuned,
  samples: readonly Sample[],
  { training = {}, out }: Recipe,
): Promise<readonly number[]> => {
  const warmup = { warmupRatio: training.warmupRatio ?? 0 }
  const schedule = { constant, linear, cosine }[training.schedule ?? 'linear'](warmup)
  const optimizer = adamw({ learningRate: training.learningRate ?? 2e-4, weightDecay: training.weightDecay ?? 0 })
  const abort = new AbortController()
  const stop = (): void => abort.abort()
  process.once('SIGINT', stop)
  await mkdir(out, { recursive: true })
  const log = `${out}/log.jsonl`
  await writeFile(log, '')
  const show = progress({
    live: process.stderr.isTTY === true,
    write: (text) => void process.stderr.write(text),
    bytes: () => simdInfo()?.memoryBytes ?? 0,
  })
  try {
    const { losses } = await runTraining(tuned, samples, {
      ...training,
      optimizer,
      schedule,
      signal: abort.signal,
      onStep: async (report) => {
        show(report)
        await appendFile(log, `${JSON.stringify(report)}\n`)
      },
    })
    if (abort.signal.aborted) say(`stopped after ${losses.length} steps; what was learnt so far is saved`)
    return losses
  } finally {
    process.off('SIGINT', stop)
    optimizer.dispose()
  }
}

/** Mean negative log-likelihood a supervised token. */
const evaluate = (tuned: Tuned, samples: readonly Sample[]): number => {
  let [total, targets] = [0, 0]
  for (let at = 0; at < samples.length; at += 8) {
    const batch = collate(samples.slice(at, at + 8), { padId: 0 })
    total += scope(() => sum(forward(tuned, batch).nll(batch.labels)).dataSync()[0]!)
    targets += countTargets(batch)
  }
  return total / targets
}
