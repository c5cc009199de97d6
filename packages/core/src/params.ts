import { dispose, keep, random, scope, type Tensor, tensor } from '@graftjs/tensor'
import { GraftError } from '@graftjs/tensor/error'
import { currentPass } from './pass.ts'
import type { Init, Param, Params } from './types.ts'

/** A parameter and what holds it: a plain kept tensor (a tf.Variable's name would be global in the engine). */
export interface StoredParam extends Param {
  /** Replaces the value; the old tensor is freed unless it is the new one. */
  set(value: Tensor): void
  readonly value: Tensor
}

/** A parameter that is computed from others, once a pass. */
export interface DerivedParam extends Param {
  /** The value anew, on the open tape. */
  make(): Tensor
  readonly sources: ReadonlySet<StoredParam>
}

export interface ParamStore extends Params {
  /** What is held and trained, by the name on disk. */
  readonly all: ReadonlyMap<string, StoredParam>
  /** What is computed from it. */
  readonly derived: ReadonlyMap<string, DerivedParam>
  dispose(): void
}

/** Called with every parameter that is read, and the tensor it was read as: the executor's way to know which stage uses what. */
type Reader = (param: Param, value: Tensor) => void
let reader: Reader | undefined

/** Runs `f` and reports to `onRead` each parameter it reads. Nested watchers report outwards too. */
export const watching = <T>(onRead: Reader, f: () => T): T => {
  const outer = reader
  reader = (param, value) => {
    onRead(param, value)
    outer?.(param, value)
  }
  try {
    return f()
  } finally {
    reader = outer
  }
}

let attaching = false

/** Runs a method's `attach`: parameters are made there, not read. */
export const whileAttaching = <T>(f: () => T): T => {
  attaching = true
  try {
    return f()
  } finally {
    attaching = false
  }
}

/** Values by path for parameters that are loaded instead of drawn. */
export interface Value {
  readonly shape: readonly number[]
  readonly data: Float32Array
}
export type Values = ReadonlyMap<string, Value>

export interface ParamsOptions {
  readonly seed: number
  readonly values?: Values | undefined
  /** Put before the paths in memory, so that two adapters trained at once do not collide; the files do not see it. */
  readonly prefix?: string
}

export const createParams = ({ seed, values, prefix = '' }: ParamsOptions): ParamStore => {
  const all = new Map<string, StoredParam>()
  const derived = new Map<string, DerivedParam>()
  const given = (path: string, shape: readonly number[]): Tensor | undefined => fromValues(path, shape, values)
  const claim = (path: string): void => {
    if (!all.has(path) && !derived.has(path)) return
    throw new GraftError({
      code: 'duplicate-parameter',
      culprit: path,
      message: `two methods both add the parameter ${path}; give one of them a name (params.scope)`,
    })
  }
  const view = (inner: string, trainable: boolean): Params => ({
    add: (name, shape, init) => {
      const path = inner + name
      claim(path)
      requireShape(path, shape)
      const first = given(path, shape) ?? drawn(path, shape, init, seed)
      const param = storedParam(prefix + path, shape, trainable, first)
      all.set(path, param)
      return param
    },
    derive: (name, shape, make) => {
      const path = inner + name
      claim(path)
      checkGiven(path, shape, values)
      const param = derivedParam(prefix + path, shape, make)
      const isGiven = (source: Param): boolean => !values || values.has(source.path.slice(prefix.length))
      if ([...param.sources].every(isGiven)) {
        derived.set(path, param)
        return param
      }
      // The file holds the result alone: what it was made of is gone, so it can be used but not trained further.
      for (const { path: source } of param.sources) {
        dispose(all.get(source.slice(prefix.length))!.value)
        all.delete(source.slice(prefix.length))
      }
      const fixed = storedParam(prefix + path, shape, false, given(path, shape) ?? missing(path))
      all.set(path, fixed)
      return fixed
    },
    scope: (more, how = {}) => view(inner + more, trainable && !how.frozen),
  })
  return {
    ...view('', true),
    all,
    derived,
    dispose: () => {
      for (const param of all.values()) dispose(param.value)
      all.clear()
      derived.clear()
    },
  }
}

const storedParam = (path: string, shape: readonly number[], trainable: boolean, first: Tensor): StoredParam => {
  let value = keep(first)
  const read = (): Tensor => {
    if (attaching && !reader) throw readInAttach(path)
    reader?.(param, value)
    return value
  }
  const param: StoredParam = Object.defineProperties(read, {
    path: { value: path },
    shape: { value: shape },
    trainable: { value: trainable },
    value: { get: () => value },
    set: {
      value: (next: Tensor) => {
        if (next === value) return
        checkShape(path, shape, next, 'a value')
        dispose(value)
        value = keep(next)
      },
    },
  }) as unknown as StoredParam
  return param
}

const derivedParam = (path: string, shape: readonly number[], make: () => Tensor): DerivedParam => {
  const sources = new Set<StoredParam>()
  scope(() => {
    checkShape(
      path,
      shape,
      watching((param) => sources.add(param as StoredParam), make),
      'a derived value',
    )
  })
  const read = (): Tensor => {
    const value = currentPass()?.derived.get(param) ?? make()
    reader?.(param, value)
    return value
  }
  const param: DerivedParam = Object.defineProperties(read, {
    path: { value: path },
    shape: { value: shape },
    trainable: { value: [...sources].some((source) => source.trainable) },
    make: { value: make },
    sources: { value: sources },
  }) as unknown as DerivedParam
  return param
}

const drawn = (path: string, shape: readonly number[], init: Init, seed: number): Tensor =>
  checkShape(path, shape, init(shape, random(seed, path)), 'an initial value')

const fromValues = (path: string, shape: readonly number[], values?: Values): Tensor | undefined => {
  const given = checkGiven(path, shape, values)
  return given && tensor(given.data, shape)
}

const checkGiven = (path: string, shape: readonly number[], values?: Values): Value | undefined => {
  const given = values?.get(path)
  if (!given || given.shape.join() === shape.join()) return given
  throw new GraftError({
    code: 'bad-shape',
    culprit: path,
    given: `shape [${given.shape}]`,
    expected: `[${shape}]: is this the adapter of another model or of another rank?`,
  })
}

const requireShape = (path: string, shape: readonly number[]): void => {
  if (shape.every((n) => Number.isInteger(n) && n > 0)) return
  throw new GraftError({
    code: 'bad-shape',
    culprit: path,
    given: `the shape [${shape.map(String)}]`,
    expected: 'whole numbers above 0',
  })
}

const readInAttach = (path: string): GraftError =>
  new GraftError({
    code: 'read-in-attach',
    culprit: path,
    message: `${path}: read while the method attaches; its value then would be that of no step. Read it inside a patch, or compute from it with params.derive`,
  })

const missing = (path: string): never => {
  throw new GraftError({
    code: 'adapter-mismatch',
    culprit: 'adapter',
    message: `the adapter does not fit this model: neither ${path} nor what it is made of is among its keys`,
  })
}

const checkShape = (path: string, shape: readonly number[], value: Tensor, what: string): Tensor => {
  if (value.shape.join() === shape.join()) return value
  throw new GraftError({
    code: 'bad-shape',
    culprit: path,
    given: `${what} of shape [${value.shape}]`,
    expected: `[${shape}]`,
  })
}
