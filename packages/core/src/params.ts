import { dispose, keep, random, type Tensor, tensor } from '@graftjs/tensor'
import { GraftError } from '@graftjs/tensor/error'
import type { Init, Param, Params } from './types.ts'

/** A parameter and what holds it: a plain kept tensor (a tf.Variable's name would be global in the engine). */
export interface StoredParam extends Param {
  /** Replaces the value; the old tensor is freed unless it is the new one. */
  set(value: Tensor): void
  readonly value: Tensor
}

export interface ParamStore extends Params {
  readonly all: ReadonlyMap<string, StoredParam>
  dispose(): void
}

/** Called with every parameter that is read: the executor's way to know which stage uses what. */
type Reader = (param: StoredParam) => void
let reader: Reader | undefined

/** Runs `f` and reports to `onRead` each parameter it reads. Nested watchers report outwards too. */
export const watching = <T>(onRead: Reader, f: () => T): T => {
  const outer = reader
  reader = (param) => {
    onRead(param)
    outer?.(param)
  }
  try {
    return f()
  } finally {
    reader = outer
  }
}

/** Values by path for parameters that are loaded instead of drawn. */
export type Values = ReadonlyMap<string, { readonly shape: readonly number[]; readonly data: Float32Array }>

export const createParams = (seed: number, values?: Values): ParamStore => {
  const all = new Map<string, StoredParam>()
  const view = (prefix: string, trainable: boolean): Params => ({
    add: (name, shape, init) => {
      const path = prefix + name
      if (all.has(path))
        throw new GraftError({
          code: 'duplicate-parameter',
          culprit: path,
          message: `two methods both add the parameter ${path}; give one of them a name (params.scope)`,
        })
      const param = storedParam(path, shape, trainable, initial(path, shape, init, seed, values))
      all.set(path, param)
      return param
    },
    scope: (inner, how = {}) => view(prefix + inner, trainable && !how.frozen),
  })
  return {
    ...view('', true),
    all,
    dispose: () => {
      for (const param of all.values()) dispose(param.value)
      all.clear()
    },
  }
}

const storedParam = (path: string, shape: readonly number[], trainable: boolean, first: Tensor): StoredParam => {
  let value = keep(first)
  const read = (): Tensor => {
    reader?.(param)
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
        dispose(value)
        value = keep(next)
      },
    },
  }) as unknown as StoredParam
  return param
}

const initial = (path: string, shape: readonly number[], init: Init, seed: number, values?: Values): Tensor => {
  const given = values?.get(path)
  if (!given) return checkShape(path, shape, init(shape, random(seed, path)))
  if (given.shape.join() !== shape.join())
    throw new GraftError({
      code: 'bad-shape',
      culprit: path,
      given: `shape [${given.shape}]`,
      expected: `[${shape}]: is this the adapter of another model or of another rank?`,
    })
  return tensor(given.data, shape)
}

const checkShape = (path: string, shape: readonly number[], value: Tensor): Tensor => {
  if (value.shape.join() === shape.join()) return value
  throw new GraftError({
    code: 'bad-shape',
    culprit: path,
    given: `an initial value of shape [${value.shape}]`,
    expected: `[${shape}]`,
  })
}
