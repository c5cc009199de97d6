import { GraftError } from '@graftjs/tensor/error'
import { signed } from './all.ts'
import { bySite } from './by-site.ts'
import { near } from './near.ts'
import { createParams, type ParamStore, type Values, whileAttaching } from './params.ts'
import type { Patches } from './pass.ts'
import type { Method, Model, Site, Weight, Weighted } from './types.ts'

/** One method on the model under a name, with its own parameters. */
export interface Adapter {
  readonly name: string
  /** Unlike the name, never used again. */
  readonly id: number
  readonly method: Method
  readonly params: ParamStore
  readonly patches: Patches
}

/** A model with adapters attached. The base is shared: two tunings of one model cost two sets of parameters. */
export interface Tuned {
  readonly model: Model
  /** The method, parameters and patches of the active adapter; none of them while the base is bare. */
  readonly method: Method | undefined
  readonly params: ParamStore
  readonly patches: Patches
  /** The adapter that acts where a call names none; null: the bare base. */
  readonly active: string | null
  /** Names, in the order in which they were added. */
  readonly adapters: readonly string[]
  adapter(name: string): Adapter
  /** Adds an adapter beside the others; it acts when `setAdapter` or a call's `adapter` names it. */
  addAdapter(name: string, method: Method, options?: AttachOptions): void
  setAdapter(name: string | null): void
  /** Frees its parameters. If it was active the base is bare. */
  deleteAdapter(name: string): void
  /** PEFT's line: `trainable params: … || all params: … || trainable%: …`. */
  describe(): string
  /** Frees the parameters; the model stays. */
  dispose(): void
}

export interface AttachOptions {
  /** Of the initial values: they depend on (seed, path) alone. */
  readonly seed?: number
  /** Values to load instead. Every parameter must be among them and every one must be used. */
  readonly values?: Values
}

/** PEFT's name of the first adapter. */
const DEFAULT = 'default'

/** Grafts `method` on the model, as its adapter `default`. */
export const attach = (model: Model, method: Method, options: AttachOptions = {}): Tuned => {
  const tuned = createTuned(model)
  tuned.addAdapter(DEFAULT, method, options)
  tuned.setAdapter(DEFAULT)
  return tuned
}

/** A bare model as a tuned one without adapters. */
export const asTuned = (tuned: Tuned | Model): Tuned => ('model' in tuned ? tuned : createTuned(tuned))

const createTuned = (model: Model): Tuned => {
  const adapters = new Map<string, Adapter>()
  const bare = createParams({ seed: 0 })
  let active: string | null = null
  let made = 0
  const find = (name: string): Adapter => adapters.get(name) ?? unknownAdapter(name, [...adapters.keys()])
  const current = (): Adapter | undefined => (active === null ? undefined : find(active))
  return {
    model,
    get method() {
      return current()?.method
    },
    get params() {
      return current()?.params ?? bare
    },
    get patches() {
      return current()?.patches ?? new Map()
    },
    get active() {
      return active
    },
    get adapters() {
      return [...adapters.keys()]
    },
    adapter: find,
    addAdapter: (name, method, options = {}) => {
      if (adapters.has(name)) throw nameTaken(name)
      adapters.set(name, createAdapter(model, name, made++, method, options))
    },
    setAdapter: (name) => {
      active = name === null ? null : find(name).name
    },
    deleteAdapter: (name) => {
      find(name).params.dispose()
      adapters.delete(name)
      if (active === name) active = null
    },
    describe: () => describe(model, current()?.params ?? bare, [...adapters.values()]),
    dispose: () => {
      for (const { params } of adapters.values()) params.dispose()
      adapters.clear()
      active = null
    },
  }
}

const createAdapter = (
  model: Model,
  name: string,
  id: number,
  method: Method,
  { seed = 0, values }: AttachOptions,
): Adapter => {
  const params = createParams({ seed, values, prefix: name === DEFAULT ? '' : `${name}.` })
  try {
    const patches = bySite(whileAttaching(() => signed(method, model, params)))
    if (values) requireSameKeys(params, values)
    return { name, id, method, params, patches }
  } catch (e) {
    params.dispose()
    throw e
  }
}

const unknownAdapter = (name: string, names: readonly string[]): never => {
  const close = near(name, names)
  throw new GraftError({
    code: 'unknown-adapter',
    culprit: 'adapter',
    given: JSON.stringify(name),
    expected: names.length ? `one of ${(close.length ? close : names).join(', ')}` : 'none: the model has no adapters',
  })
}

const nameTaken = (name: string): GraftError =>
  new GraftError({
    code: 'adapter-exists',
    culprit: 'adapter',
    given: JSON.stringify(name),
    expected: 'a name that is not in use: deleteAdapter frees one',
  })

/** Every parameter has a value and every value a parameter. */
export const requireSameKeys = (params: ParamStore, values: Values): void => {
  const missing = [...params.all.keys()].filter((path) => !values.has(path))
  const unexpected = [...values.keys()].filter((path) => !params.all.has(path) && !params.derived.has(path))
  if (missing.length + unexpected.length === 0) return
  throw new GraftError({
    code: 'adapter-mismatch',
    culprit: 'adapter',
    message: `the adapter does not fit this model: ${[list('missing', missing), list('unexpected', unexpected)].filter(Boolean).join('; ')}`,
  })
}

const list = (what: string, names: string[]): string =>
  names.length
    ? `${names.length} ${what} ${names.length === 1 ? 'key' : 'keys'}: ${names.slice(0, 6).join(', ')}${names.length > 6 ? ', …' : ''}`
    : ''

/** Numbers in the model's own weights, tied ones counted once. */
export const countBase = (model: Model): number => {
  const weighted = model.sites.filter((s): s is Site<Weighted> => 'weight' in s)
  const shapes = new Map<string, readonly number[]>()
  for (const { weight, bias, path } of weighted) {
    shapes.set(weight.path, (weight as Weight).shape)
    if (bias) shapes.set(`${path}.bias`, bias.shape)
  }
  return [...shapes.values()].reduce((sum, shape) => sum + size(shape), 0)
}

const size = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1)

const countParams = (params: ParamStore, trainable = false): number =>
  [...params.all.values()].reduce((sum, p) => sum + (trainable && !p.trainable ? 0 : size(p.shape)), 0)

const describe = (model: Model, params: ParamStore, adapters: readonly Adapter[]): string => {
  const trainable = countParams(params, true)
  const total = countBase(model) + adapters.reduce((sum, adapter) => sum + countParams(adapter.params), 0)
  const grouped = (n: number): string => n.toLocaleString('en-US')
  return `trainable params: ${grouped(trainable)} || all params: ${grouped(total)} || trainable%: ${((100 * trainable) / total).toFixed(4)}`
}
