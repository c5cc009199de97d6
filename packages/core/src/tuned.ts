import { GraftError } from '@graftjs/tensor/error'
import { createParams, type ParamStore, type Values } from './params.ts'
import type { Patches } from './run.ts'
import type { Method, Model, Patch, Site, Weight, Weighted } from './types.ts'

/** A model with a method attached. The base is shared: two tunings of one model cost two sets of parameters. */
export interface Tuned {
  readonly model: Model
  readonly method: Method | undefined
  readonly params: ParamStore
  readonly patches: Patches
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

export const attach = (model: Model, method: Method, { seed = 0, values }: AttachOptions = {}): Tuned => {
  const params = createParams(seed, values)
  try {
    const patches = method.attach(model, params)
    if (values) requireSameKeys(params, values)
    return makeTuned(model, method, params, bySite(patches))
  } catch (e) {
    params.dispose()
    throw e
  }
}

/** A bare model as a tuned one without patches. */
export const asTuned = (tuned: Tuned | Model): Tuned =>
  'model' in tuned ? tuned : makeTuned(tuned, undefined, createParams(0), new Map())

const makeTuned = (model: Model, method: Method | undefined, params: ParamStore, patches: Patches): Tuned => ({
  model,
  method,
  params,
  patches,
  describe: () => describe(model, params),
  dispose: () => params.dispose(),
})

const bySite = (patches: readonly Patch[]): Patches => {
  const map = new Map<Site, Patch[]>()
  for (const patch of patches) map.set(patch.site, [...(map.get(patch.site) ?? []), patch])
  return map
}

const requireSameKeys = (params: ParamStore, values: Values): void => {
  const missing = [...params.all.keys()].filter((path) => !values.has(path))
  const unexpected = [...values.keys()].filter((path) => !params.all.has(path))
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

const describe = (model: Model, params: ParamStore): string => {
  const own = [...params.all.values()]
  const trainable = own.filter((p) => p.trainable).reduce((sum, p) => sum + size(p.shape), 0)
  const total = countBase(model) + own.reduce((sum, p) => sum + size(p.shape), 0)
  const grouped = (n: number): string => n.toLocaleString('en-US')
  return `trainable params: ${grouped(trainable)} || all params: ${grouped(total)} || trainable%: ${((100 * trainable) / total).toFixed(4)}`
}
