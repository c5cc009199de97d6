import { near } from '@graftjs/core'
import { GraftError } from '@graftjs/tensor/error'

export const RECIPE_FORMAT = 'graft-recipe'
export const RECIPE_VERSION = 1

/** What `graft train` reads. */
export interface Recipe {
  readonly format: typeof RECIPE_FORMAT
  readonly version: number
  /** A hub id, a folder with config.json and safetensors, or a .gguf file. */
  readonly model: string
  readonly method: { readonly name: string } | readonly { readonly name: string }[]
  readonly data: {
    /** JSONL rows with `prompt` and `completion`. */
    readonly train: string
    readonly eval?: string
    /** Tokens a row; longer ones are an error unless `truncate` says otherwise. */
    readonly maxLength?: number
    /** Puts each prompt through the model's chat template. */
    readonly chat?: boolean
  }
  readonly training?: {
    readonly epochs?: number
    /** Wins over epochs. */
    readonly steps?: number
    readonly batchSize?: number
    readonly accumulate?: number
    readonly learningRate?: number
    readonly schedule?: 'constant' | 'linear' | 'cosine'
    readonly warmupRatio?: number
    readonly weightDecay?: number
    /** Of the global gradient norm; 0 for none. */
    readonly clip?: number
    readonly seed?: number
    readonly keep?: 'none' | 'all' | number
    /** Steps from checkpoint to checkpoint. Absent: one is written only when the run is interrupted. */
    readonly checkpointEvery?: number
    /** Checkpoints that stay. */
    readonly keepCheckpoints?: number
  }
  /** The folder that gets the adapter, log.jsonl and checkpoints. */
  readonly out: string
}

type Check = (value: unknown) => boolean
const text: Check = (v) => typeof v === 'string' && v.length > 0
const whole =
  (min: number): Check =>
  (v) =>
    Number.isInteger(v) && (v as number) >= min
const number =
  (min: number): Check =>
  (v) =>
    typeof v === 'number' && Number.isFinite(v) && v >= min
const oneOf =
  (...names: string[]): Check =>
  (v) =>
    names.includes(v as string)

interface Field {
  readonly check: Check
  readonly expected: string
  readonly required?: boolean
}
type Shape = { readonly [key: string]: Field | Shape }
const isField = (f: Field | Shape): f is Field => typeof f.check === 'function'

const shape: Shape = {
  format: { check: (v) => v === RECIPE_FORMAT, expected: JSON.stringify(RECIPE_FORMAT), required: true },
  version: { check: whole(1), expected: 'a whole number', required: true },
  model: { check: text, expected: 'a hub id, a folder or a .gguf file', required: true },
  method: {
    check: (v) => typeof v === 'object' && v !== null,
    expected: '{ "name": … } or a list of them',
    required: true,
  },
  data: {
    train: { check: text, expected: 'the path of a JSONL file', required: true },
    eval: { check: text, expected: 'the path of a JSONL file' },
    maxLength: { check: whole(2), expected: 'a whole number ≥ 2' },
    chat: { check: (v) => typeof v === 'boolean', expected: 'true or false' },
  },
  training: {
    epochs: { check: number(0), expected: 'a number ≥ 0' },
    steps: { check: whole(1), expected: 'a whole number ≥ 1' },
    batchSize: { check: whole(1), expected: 'a whole number ≥ 1' },
    accumulate: { check: whole(1), expected: 'a whole number ≥ 1' },
    learningRate: { check: number(0), expected: 'a number ≥ 0' },
    schedule: { check: oneOf('constant', 'linear', 'cosine'), expected: 'constant, linear or cosine' },
    warmupRatio: { check: (v) => number(0)(v) && (v as number) <= 1, expected: 'a number of [0, 1]' },
    weightDecay: { check: number(0), expected: 'a number ≥ 0' },
    clip: { check: number(0), expected: 'a number ≥ 0' },
    seed: { check: whole(0), expected: 'a whole number ≥ 0' },
    keep: { check: (v) => oneOf('none', 'all')(v) || number(0)(v), expected: "'none', 'all' or a number of bytes" },
    checkpointEvery: { check: whole(1), expected: 'a whole number ≥ 1' },
    keepCheckpoints: { check: whole(1), expected: 'a whole number ≥ 1' },
  },
  out: { check: text, expected: 'the path of a folder', required: true },
}

/** The recipe in `json`; every fault names its key, an unknown key lists near names. */
export const readRecipe = (json: string, file: string): Recipe => {
  let value: unknown
  try {
    value = JSON.parse(json)
  } catch (cause) {
    throw new GraftError({
      code: 'bad-recipe',
      culprit: file,
      given: (cause as Error).message,
      expected: 'a JSON object',
      cause,
    })
  }
  const version = (value as { version?: unknown } | null)?.version
  if (typeof version === 'number' && version > RECIPE_VERSION)
    throw new GraftError({
      code: 'newer-version',
      culprit: `${file}: version`,
      given: String(version),
      expected: `at most ${RECIPE_VERSION}: a newer Graft wrote this recipe`,
    })
  checkShape(value, shape, file, '')
  return value as Recipe
}

const checkShape = (value: unknown, fields: Shape, file: string, prefix: string): void => {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new GraftError({
      code: 'bad-recipe',
      culprit: `${file}: ${prefix || 'recipe'}`,
      given: JSON.stringify(value),
      expected: 'an object',
    })
  const given = value as Record<string, unknown>
  for (const key of Object.keys(given)) {
    if (Object.hasOwn(fields, key)) continue
    const close = near(key, Object.keys(fields))
    throw new GraftError({
      code: 'bad-recipe',
      culprit: `${file}: ${prefix}${key}`,
      message: `${file}: unknown key ${prefix}${key}; ${close.length ? `did you mean ${close.join(' or ')}?` : `known keys are ${Object.keys(fields).join(', ')}`}`,
    })
  }
  for (const [key, field] of Object.entries(fields)) checkField(given[key], field, file, `${prefix}${key}`)
}

const checkField = (value: unknown, field: Field | Shape, file: string, path: string): void => {
  if (!isField(field)) {
    const needed = Object.values(field).some((f) => isField(f) && f.required)
    if (value !== undefined || needed) checkShape(value ?? {}, field, file, `${path}.`)
    return
  }
  if (value === undefined ? !field.required : field.check(value)) return
  throw new GraftError({
    code: 'bad-recipe',
    culprit: `${file}: ${path}`,
    given: value === undefined ? 'nothing' : JSON.stringify(value),
    expected: field.expected,
  })
}
