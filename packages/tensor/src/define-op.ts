import { engine, getKernel, type NamedAttrMap, type NamedTensorMap, registerKernel } from '@tensorflow/tfjs-core'
import { clone, keep, scope, type Tensor, zeros } from './ops.ts'
import { currentTape, detached, isTaping } from './tape.ts'

/** A float64 array with a shape: what references compute on. */
export interface RefArray {
  readonly data: Float64Array
  readonly shape: readonly number[]
}

export type OpInputs = Record<string, Tensor | undefined>

/** One op of the kernel table: one gradient, a float64 reference, a composed fallback, fast versions for some backends. */
export interface OpDef<I extends OpInputs, A extends object> {
  readonly name: string
  /** The op from stock tfjs ops, for any backend. Its temporaries are freed for it. */
  composed(inputs: I, attrs: A): Tensor | Tensor[]
  /** What the gradient needs, kept while taping: inputs by name, outputs by index (saved as `out0`, `out1`). */
  readonly save?: { readonly inputs?: readonly (keyof I & string)[]; readonly outputs?: readonly number[] }
  /** A thunk for each input that has a gradient; a key left out is an input without one. */
  gradient?(dys: Tensor[], saved: Record<string, Tensor>, attrs: A): { [K in keyof I]?: (() => Tensor) | undefined }
  /** The op in float64, for the parity tests. */
  reference?(inputs: Record<string, RefArray | undefined>, attrs: A): RefArray | RefArray[]
}

const table = new Map<string, OpDef<OpInputs, object>>()

/** Every op defined so far, by name. */
export const definedOps = (): ReadonlyMap<string, OpDef<OpInputs, object>> => table

type Present = Record<string, Tensor>
const present = (inputs: OpInputs): Present => {
  const given: Present = {}
  for (const [name, t] of Object.entries(inputs)) if (t) given[name] = t
  return given
}

/** Registers an op and returns the function that runs it: always one tape node, whichever version computes it. */
export const defineOp = <I extends OpInputs, A extends object>(def: OpDef<I, A>) => {
  table.set(def.name, def as unknown as OpDef<OpInputs, object>)
  return (inputs: I, attrs: A): Tensor[] => {
    ensureKernel(def)
    const given = present(inputs)
    const out = engine().runKernel(def.name, given as NamedTensorMap, attrs as unknown as NamedAttrMap)
    const outputs = Array.isArray(out) ? out : [out as Tensor]
    if (isTaping() && def.gradient) completeNode(def, given, outputs, attrs)
    return outputs
  }
}

/**
 * Gives the node that tfjs has just recorded our gradient and what it saves. tfjs's own registry cannot save an optional
 * input, and makes zeros for cotangents that nobody asks for.
 */
const completeNode = <I extends OpInputs, A extends object>(
  def: OpDef<I, A>,
  given: Present,
  outputs: Tensor[],
  attrs: A,
): void => {
  const node = currentTape().at(-1)!
  const saved: Present = {}
  detached(() => {
    for (const key of def.save?.inputs ?? []) if (given[key]) saved[key] = keep(clone(given[key]))
    for (const i of def.save?.outputs ?? []) if (outputs[i]) saved[`out${i}`] = keep(clone(outputs[i]))
  })
  const shapes = outputs.map((t) => t.shape)
  node.saved = Object.values(saved)
  node.gradient = (dys) => defined(def.gradient!(orZeros(dys, shapes), saved, attrs))
}

/** The cotangents, where a missing one turns into zeros only when it is read. */
const orZeros = (dys: readonly (Tensor | null)[], shapes: readonly (readonly number[])[]): Tensor[] => {
  const list = [...dys] as Tensor[]
  for (const [i, dy] of dys.entries()) if (!dy) Object.defineProperty(list, i, { get: () => zeros(shapes[i]!) })
  return list
}

const defined = <T>(map: { [key: string]: T | undefined }): Record<string, T> => {
  const found: Record<string, T> = {}
  for (const [key, value] of Object.entries(map)) if (value !== undefined) found[key] = value
  return found
}

const ensureKernel = <I extends OpInputs, A extends object>(def: OpDef<I, A>): void => {
  const backendName = engine().backendName ?? (engine().backend && engine().backendName)
  if (getKernel(def.name, backendName)) return
  registerKernel({
    kernelName: def.name,
    backendName,
    kernelFunc: ({ inputs, attrs }) => {
      const given = inputs as unknown as I
      return scope(() => {
        const out = def.composed(given, attrs as unknown as A)
        const isInput = (t: Tensor): boolean => Object.values(given).includes(t)
        // An output that is an input itself would be freed twice.
        return Array.isArray(out) ? out.map((t) => (isInput(t) ? clone(t) : t)) : isInput(out) ? clone(out) : out
      })
    },
  })
}
