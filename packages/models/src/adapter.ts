import {
  asTuned,
  exportAdapter,
  type JsonObject,
  type LoraFile,
  type Method,
  type MethodKind,
  type Model,
  swapValues,
  type Tuned,
  type Values,
} from '@graftjs/core'
import { fromFloat32, readAdapter, toFloat32, type WriteFs, writeAdapter } from '@graftjs/files'
import { GraftError } from '@graftjs/tensor/error'
import { withoutBaseCopies } from './base-copies.ts'
import { isTurned } from './families.ts'
import { tasks } from './heads/tasks.ts'
import type { LoadedModel } from './load-model.ts'
import { turn } from './turn.ts'
import { withHead } from './with-head.ts'

/** What a method's factory carries: its identity on disk. */
export interface Kinded {
  readonly kind: MethodKind
}

export interface SaveAdapterOptions {
  /** Of the adapter to save; the active one when absent. */
  readonly name?: string
  readonly fs?: WriteFs
}

export interface LoadAdapterOptions {
  /** Of the adapter in the tuned model. Default `'default'`, PEFT's name of the first. */
  readonly name?: string
}

// The config that an adapter was loaded with: keys that Graft does not know survive the round trip.
const loadedConfigs = new WeakMap<object, JsonObject>()

/**
 * Writes adapter_config.json and adapter_model.safetensors as PEFT writes them: of an adapter, or of what `toLora` made of
 * one. Atomic: what was there stays whole if it fails. Errors: `not-saveable`, `unknown-adapter`.
 */
export const saveAdapter = async (
  what: Tuned | LoraFile,
  dir: string,
  { name, fs }: SaveAdapterOptions = {},
): Promise<void> => {
  const { config, tensors } = 'tensors' in what ? what : await fileOf(what, name)
  const named = [...tensors].map(([path, { shape, data }]) => [path, fromFloat32(path, shape, data)] as const)
  await writeAdapter(dir, { config, tensors: new Map(named) }, fs)
}

const fileOf = async (tuned: Tuned, name = tuned.active): Promise<Pick<LoraFile, 'config' | 'tensors'>> => {
  const method = name === null ? undefined : tuned.adapter(name).method
  if (name === null || !method?.kind)
    throw new GraftError({
      code: 'not-saveable',
      culprit: method?.name ?? 'model',
      given: 'a method without a file format',
      expected: 'one that PEFT knows, such as lora',
    })
  const { tensors } = await exportAdapter(tuned, name)
  // A config that was loaded already says all this in its own words; it is kept byte for byte.
  const loaded = loadedConfigs.get(tuned.adapter(name))
  const own = loaded ? { config: loaded, tensors } : await withHead(tuned.model, ofModel(tuned, name), tensors)
  return { config: own.config, tensors: asInFiles(tuned.model, own.tensors) }
}

/** The method's config with what the model knows: its name, its task, and whether its file holds layers transposed. */
const ofModel = ({ model, adapter }: Tuned, name: string): JsonObject => {
  const { method, patches } = adapter(name)
  const config = method.kind!.write(method)
  const { name: base = null, task } = model as Partial<LoadedModel>
  const isTransposed = [...patches.keys()].some(({ path }) => isTurned(model.type, `${path}.weight`))
  return {
    ...config,
    base_model_name_or_path: base,
    ...('task_type' in config && { task_type: config.task_type ?? (task && tasks[task].taskType) ?? null }),
    ...('fan_in_fan_out' in config && { fan_in_fan_out: config.fan_in_fan_out === true || isTransposed }),
  }
}

/** Whole matrices (`modules_to_save`) lie in an adapter's file as in the model's; the way there and back is the same. */
const asInFiles = (model: Model, values: Values): Values =>
  new Map(
    [...values].map(([path, value]) => [
      path,
      value.shape.length === 2 && isTurned(model.type, path)
        ? { shape: [...value.shape].reverse(), data: turn(value.data, value.shape) }
        : value,
    ]),
  )

/**
 * Attaches the adapter in `dir` by the one of `methods` that its config names: to a model, on which it then acts, or beside
 * the adapters of a tuned one, where `setAdapter` or a call names it. Strict: missing or unexpected keys throw. Whole base
 * weights that PEFT puts beside an embedding's LoRA must be the model's, and are not kept.
 * Errors: `unknown-method`, `adapter-exists`, `adapter-mismatch`, `bad-shape`, and what reading the folder and the method throw.
 */
export const loadAdapter = async (
  on: Model | Tuned,
  dir: string,
  methods: readonly Kinded[],
  { name = 'default' }: LoadAdapterOptions = {},
): Promise<Tuned> => {
  const tuned = asTuned(on)
  const { config, method, values } = await readFor(tuned, dir, methods)
  tuned.addAdapter(name, method, { values })
  if (tuned !== on) tuned.setAdapter(name)
  loadedConfigs.set(tuned.adapter(name), config)
  return tuned
}

/**
 * Puts the values of the adapter in `dir` into the one that is attached as `name` (the active one when absent): same method,
 * options and shapes, no new attach. What it had stays if anything does not fit.
 * Errors: `adapter-mismatch`, `bad-shape`, `unknown-adapter`, and what reading the folder throws.
 */
export const hotSwap = async (
  tuned: Tuned,
  dir: string,
  methods: readonly Kinded[],
  { name = tuned.active ?? 'default' }: LoadAdapterOptions = {},
): Promise<void> => {
  const adapter = tuned.adapter(name)
  const { config, method, values } = await readFor(tuned, dir, methods)
  const differing = differences(adapter.method, method)
  if (differing.length > 0)
    throw new GraftError({
      code: 'adapter-mismatch',
      culprit: dir,
      given: `${method.name} with other options than ${name} has: ${differing.join(', ')}`,
      expected: 'the same options; loadAdapter adds any adapter under a name of its own',
    })
  swapValues(tuned, name, values)
  loadedConfigs.set(adapter, config)
}

/** Options by name that are not the same, but for those that act while training alone. */
const differences = (a: Method, b: Method): string[] => {
  if (a.kind?.peftType !== b.kind?.peftType) return ['the method itself']
  const [before, after] = [a.config, b.config] as Record<string, unknown>[]
  const isSame = (key: string): boolean => canonical(before![key]) === canonical(after![key])
  return Object.keys({ ...before, ...after }).filter((key) => !isSame(key) && !TRAINING.includes(key))
}
const TRAINING = ['loraDropout', 'initLoraWeights', 'taskType']

/** A list of names is a set: PEFT writes it in any order. */
const canonical = (value: unknown): string =>
  JSON.stringify(Array.isArray(value) && value.every((v) => typeof v === 'string') ? [...value].sort() : value)

const readFor = async (
  { model }: Tuned,
  dir: string,
  methods: readonly Kinded[],
): Promise<{ config: JsonObject; method: Method; values: Values }> => {
  const { config, tensors } = await readAdapter(dir)
  const type = config.peft_type
  const found = methods.find(({ kind }) => kind.peftType === type)
  if (!found)
    throw new GraftError({
      code: 'unknown-method',
      culprit: `${dir}: peft_type`,
      given: JSON.stringify(type ?? null),
      expected: `one of ${methods.map(({ kind }) => kind.peftType).join(', ')}`,
    })
  const values = new Map([...tensors].map(([path, tensor]) => [path, { shape: tensor.shape, data: toFloat32(tensor) }]))
  return {
    config,
    method: found.kind.read(config),
    values: await withoutBaseCopies(model, asInFiles(model, values), config),
  }
}
