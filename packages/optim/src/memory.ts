import { dispose, keep, type Tensor, tensor, zeros } from '@graftjs/tensor'
import { GraftError } from '@graftjs/tensor/error'
import type { OptimizerState, OptimParam, StateValue } from './optimizer.ts'

/** What is remembered of one parameter. */
export interface Slot<Name extends string> {
  /** Updates so far. */
  step: number
  readonly tensors: Record<Name, Tensor>
}

/** The tensors that an optimiser keeps for each parameter: zeros at its first update, saved and loaded by name. */
export interface Memory<Name extends string> {
  of(param: OptimParam): Slot<Name>
  /** Takes over `value`; the old tensor is freed. */
  set(slot: Slot<Name>, name: Name, value: Tensor): void
  state(): Promise<OptimizerState>
  load(state: OptimizerState): void
  dispose(): void
}

export const createMemory = <Name extends string>(names: readonly Name[]): Memory<Name> => {
  const slots = new Map<string, Slot<Name>>()
  const create = (make: (name: Name) => Tensor, step: number): Slot<Name> => ({
    step,
    tensors: Object.fromEntries(names.map((name) => [name, keep(make(name))])) as Record<Name, Tensor>,
  })
  const forget = (): void => {
    for (const { tensors } of slots.values()) dispose(Object.values(tensors))
    slots.clear()
  }
  return {
    of: (param) => {
      const slot = slots.get(param.path) ?? create(() => zeros(param.shape), 0)
      slots.set(param.path, slot)
      for (const name of names) checkShape(`${param.path}.${name}`, slot.tensors[name].shape, param.shape)
      return slot
    },
    set: (slot, name, value) => {
      if (slot.tensors[name] !== value) dispose(slot.tensors[name])
      slot.tensors[name] = keep(value)
    },
    state: async () => {
      const state = new Map<string, StateValue>()
      for (const [path, { step, tensors }] of slots) {
        state.set(`${path}.step`, { shape: [], data: Float32Array.of(step) })
        for (const name of names) {
          const data = (await tensors[name].data()) as Float32Array
          state.set(`${path}.${name}`, { shape: tensors[name].shape, data: data.slice() })
        }
      }
      return state
    },
    load: (state) => {
      const steps = readSteps(state, names)
      forget()
      for (const [path, step] of steps) {
        const value = (name: Name): StateValue => state.get(`${path}.${name}`)!
        slots.set(
          path,
          create((name) => tensor(value(name).data.slice(), value(name).shape), step),
        )
      }
    },
    dispose: forget,
  }
}

/** The steps by path, once every name has been found to be there and none too many. */
const readSteps = (state: OptimizerState, names: readonly string[]): Map<string, number> => {
  const steps = new Map<string, number>()
  for (const name of state.keys()) {
    const at = name.lastIndexOf('.')
    const [path, last] = [name.slice(0, at), name.slice(at + 1)]
    if (last === 'step') steps.set(path, state.get(name)!.data[0]!)
    else if (!names.includes(last)) throw badState(name, 'an unknown name', `${names.join(', ')} or step`)
  }
  for (const path of steps.keys())
    for (const name of names) if (!state.has(`${path}.${name}`)) throw badState(`${path}.${name}`, 'nothing', 'a value')
  if (state.size !== steps.size * (names.length + 1))
    throw badState('optimiser state', 'a parameter without its step', 'one each')
  return steps
}

const badState = (culprit: string, given: string, expected: string): GraftError =>
  new GraftError({ code: 'bad-state', culprit, given, expected })

export const checkShape = (culprit: string, given: readonly number[], expected: readonly number[]): void => {
  if (given.join() === expected.join()) return
  throw new GraftError({ code: 'bad-shape', culprit, given: `shape [${given}]`, expected: `[${expected}]` })
}
