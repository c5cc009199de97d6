import { z } from 'zod'
import { recipeRules } from './recipe-rules.ts'

export const RECIPE_FORMAT = 'graft-recipe'
export const RECIPE_VERSION = 1

/** What editors, `graft new` and the documentation say of a key. Where nothing is a default, `examples` shows a value. */
interface About {
  readonly default?: unknown
  readonly examples?: unknown[]
}

// The message of every check is what would do: errors put it behind "expected".
const text = (expected: string) => z.string(expected).min(1, expected)
const whole = (min: number) => z.int(`a whole number ≥ ${min}`).min(min, `a whole number ≥ ${min}`)
const number = () => z.number('a number ≥ 0').min(0, 'a number ≥ 0')
const yesNo = () => z.boolean('true or false')
const oneOf = <const Names extends readonly string[]>(...names: Names) =>
  z.enum(names, `${names.slice(0, -1).join(', ')} or ${names.at(-1)}`)

const required = <S extends z.ZodType>(schema: S, description: string, about: About = {}) =>
  schema.meta({ description, ...about })
const optional = <S extends z.ZodType>(schema: S, description: string, about: About) =>
  schema.meta({ description, ...about }).exactOptional()
const section = <S extends z.ZodRawShape>(shape: S, description: string) =>
  z.strictObject(shape, 'an object').meta({ description })

const method = z
  .looseObject({ name: text('the name of a method, such as "lora"') }, '{ name: … } with options, or a list of them')
  .meta({ description: 'One method: its name, and its options beside it.' })

const trainSet = section(
  {
    path: required(text('the path of a file'), 'Path of the rows.'),
    name: optional(text('a name'), 'What reports call the set. Absent: its path.', { examples: ['mail'] }),
  },
  'One of several sets of rows.',
)

const mixing = section(
  {
    strategy: required(
      oneOf('proportional', 'temperature', 'equal'),
      'The share of each set: its part of all rows, size^(1 / temperature) made to sum to one, or the same for each.',
      { examples: ['temperature'] },
    ),
    temperature: optional(
      z.number('a number > 0').gt(0, 'a number > 0'),
      'Of the strategy temperature: 1 is proportional, a high one is nearly equal.',
      { examples: [2] },
    ),
    limit: optional(whole(1), 'A larger set counts as one of so many rows. Absent: none does.', { examples: [10_000] }),
    size: optional(whole(1), 'Rows of an epoch. Absent: as many as the sets have together.', { examples: [50_000] }),
  },
  'How several sets of rows are mixed. Absent: proportional.',
)

const data = section(
  {
    train: required(
      z.union(
        [text('the path of a file'), z.array(trainSet, 'a list of { path: … }').min(1, 'at least one { path: … }')],
        'the path of a file, or a list of { path: … }',
      ),
      'Rows to learn: the path of a JSONL, JSON, CSV or TSV file, or a list of { path, name } to mix. Paths start at the folder in which the command runs.',
      { examples: ['rows.jsonl'] },
    ),
    eval: optional(text('the path of a file'), 'Rows that are measured and not learnt. Absent: nothing is measured.', {
      examples: ['held-out.jsonl'],
    }),
    format: optional(
      oneOf('auto', 'messages', 'prompt-completion', 'text', 'alpaca', 'sharegpt'),
      'What a row looks like; auto tells it by the columns.',
      { default: 'auto' },
    ),
    columns: optional(
      z.record(z.string(), text('the name of a column'), "an object of our names and the file's"),
      "Our column names and the file's, where they differ.",
      { examples: [{ prompt: 'question', completion: 'answer' }] },
    ),
    chat: optional(yesNo(), "Puts prompts and completions through the model's chat template.", { default: false }),
    system: optional(text('a text'), 'A system message for chats that have none.', {
      examples: ['You are a helpful assistant.'],
    }),
    learn: optional(
      oneOf('assistant', 'last', 'all'),
      'Which turns of a chat are learnt: all of the assistant, its last one, or everything.',
      { default: 'assistant' },
    ),
    maxLength: optional(
      whole(2),
      "Tokens a row at most. Absent, or more than the model's context: the model's context.",
      { examples: [512] },
    ),
    truncate: optional(
      oneOf('error', 'keep-start', 'keep-end'),
      'What becomes of a longer row: an error, or its start or end is kept.',
      { default: 'error' },
    ),
    packing: optional(
      z.union([z.boolean(), z.enum(['best-fit', 'wrapped'])], 'true, false, best-fit or wrapped'),
      'Puts several rows that do not see each other into one of maxLength tokens (absent: 512, or as many as the longest has); true is best-fit.',
      { default: false },
    ),
    bucketing: optional(yesNo(), 'Puts rows of like length into one batch.', { default: false }),
    mixing: mixing.exactOptional(),
  },
  'The rows.',
)

const training = section(
  {
    epochs: optional(number(), 'Passes over the rows; parts of one count. At least one step is made.', { default: 1 }),
    steps: optional(whole(1), 'Optimiser steps; wins over epochs. Absent: by epochs.', { examples: [1000] }),
    batchSize: optional(whole(1), 'Rows a micro-batch.', { default: 8 }),
    accumulate: optional(whole(1), 'Micro-batches a step.', { default: 1 }),
    learningRate: optional(number(), 'The highest rate of AdamW.', { default: 0.0002 }),
    schedule: optional(
      oneOf('constant', 'linear', 'cosine'),
      'How the rate goes on after the warm-up; linear and cosine fall to 0.',
      { default: 'linear' },
    ),
    warmupRatio: optional(
      z.number('a number of [0, 1]').min(0, 'a number of [0, 1]').max(1, 'a number of [0, 1]'),
      'The part of all steps in which the rate rises from 0.',
      { default: 0 },
    ),
    weightDecay: optional(number(), 'Of AdamW, decoupled.', { default: 0 }),
    clip: optional(number(), 'The largest global gradient norm; 0 for none.', { default: 0 }),
    seed: optional(whole(0), "Of the adapter's start, the order of rows and dropout.", { default: 0 }),
    keep: optional(
      z.union([z.enum(['none', 'all']), z.number().min(0)], "'none', 'all' or a number of bytes"),
      'What training holds in memory instead of computing it twice: none, all, or a number of bytes.',
      { default: 'none' },
    ),
    checkpointEvery: optional(
      whole(1),
      'Steps from checkpoint to checkpoint. Absent: one is written where the best evaluation may be restored, and when a signal stops the run.',
      { examples: [100] },
    ),
    keepCheckpoints: optional(whole(1), 'How many checkpoints stay.', { default: 2 }),
    neftuneNoiseAlpha: optional(
      number(),
      'Strength of the noise that NEFTune adds to embeddings while training, often 5; 0 for none.',
      { default: 0 },
    ),
    nonFinite: optional(
      oneOf('skip', 'stop', 'rollback'),
      'What happens at a loss or gradient that is no finite number: the step is skipped, the run stops, or it goes back to its last checkpoint, which takes checkpointEvery.',
      { default: 'skip' },
    ),
    gradientCheck: optional(
      oneOf('error', 'warn', 'off'),
      'What happens when a trainable parameter has got no gradient in the first steps.',
      { default: 'error' },
    ),
  },
  'How it is learnt.',
)

const evaluation = section(
  {
    every: optional(whole(1), 'Steps from evaluation to evaluation. Absent: before the first and after the last.', {
      examples: [50],
    }),
    prompts: optional(
      z.array(text('a text'), 'a list of texts'),
      'Texts that the model continues before, at each evaluation and after.',
      { examples: [['Once upon a time']] },
    ),
    maxNewTokens: optional(whole(1), 'Tokens of such a continuation at most.', { default: 64 }),
    earlyStopping: section(
      {
        patience: required(whole(1), 'Evaluations without a better loss after which the run ends.', { examples: [3] }),
        minDelta: optional(number(), 'How much lower a loss must be to count as better.', { default: 0 }),
      },
      'Ends the run when the loss on data.eval no longer falls.',
    ).exactOptional(),
    restoreBest: optional(
      yesNo(),
      'Ends with the parameters of the evaluation with the lowest loss. Absent: true where earlyStopping is set.',
      { examples: [true] },
    ),
  },
  'What is measured on the way.',
)

const logging = section(
  {
    report: optional(yesNo(), 'Writes report.html, a page that opens offline.', { default: true }),
    tensorboard: optional(yesNo(), 'Writes event files for TensorBoard.', { default: false }),
  },
  'What is written on the way, beside log.jsonl.',
)

/** The one source of what a recipe is: its type, its checks, recipe.schema.json, `graft new` and the table of docs/cli.md. */
export const recipeSchema = z
  .strictObject(
    {
      $schema: optional(z.string('a text'), 'Where an editor finds the schema of this file; ignored here.', {
        examples: ['node_modules/@graftjs/cli/recipe.schema.json'],
      }),
      format: required(z.literal(RECIPE_FORMAT, JSON.stringify(RECIPE_FORMAT)), 'Marks the file as a recipe.'),
      version: required(
        z.literal(RECIPE_VERSION, String(RECIPE_VERSION)),
        'The version of the format; a newer one than this Graft knows is refused.',
      ),
      model: required(text('a hub id, a folder or a .gguf file'), 'A hub id, a model folder or a .gguf file.', {
        examples: ['HuggingFaceTB/SmolLM2-135M-Instruct'],
      }),
      method: required(
        z.union([method, z.array(method).min(1)], '{ name: … } with options, or a list of them'),
        'The method: its name and options, or a list of methods, the first outermost.',
        { examples: [{ name: 'lora', r: 8, loraAlpha: 16, targetModules: 'all-linear' }] },
      ),
      data,
      training: training.exactOptional(),
      evaluation: evaluation.exactOptional(),
      logging: logging.exactOptional(),
      out: required(
        text('the path of a folder'),
        'The folder that gets the adapter, log.jsonl, report.html and checkpoints.',
        { examples: ['out/my-adapter'] },
      ),
    },
    'an object',
  )
  .check(recipeRules)

/** What `graft train` reads. */
export type Recipe = z.infer<typeof recipeSchema>
