import { engine } from '@tensorflow/tfjs-core'
import type { Tensor } from './ops.ts'

// tfjs's tape, reached through `engine().state`, which its type declarations make public. `startTape` and `endTape` are
// private; `tape.test.ts` is the contract test of what is used here.

/** One recorded op. `gradient` maps cotangents of the outputs to a thunk for each input that has a gradient. */
export interface TapeNode {
  readonly id: number
  readonly kernelName: string
  readonly inputs: Record<string, Tensor>
  readonly outputs: Tensor[]
  gradient?: (dys: (Tensor | null)[]) => Record<string, () => Tensor>
  saved?: Tensor[]
}

interface TapeState {
  activeTape: TapeNode[] | null
  gradientDepth: number
  kernelDepth: number
  nextTapeNodeId: number
}
const state = (): TapeState => engine().state as unknown as TapeState

/** Whether an op run now would be recorded. */
export const isTaping = (): boolean => engine().isTapeOn()

/** The nodes recorded so far by the innermost `record`; empty when none is open. */
export const currentTape = (): readonly TapeNode[] => state().activeTape ?? []

/** Appends a node of our own to the open tape. */
export const pushNode = (node: Omit<TapeNode, 'id'>): void => {
  const s = state()
  s.activeTape?.push({ ...node, id: s.nextTapeNodeId++ })
}

/** Runs `f` with an empty tape of its own; nests freely, also inside a gradient function. */
export const record = <T>(f: (tape: TapeNode[]) => T): T => {
  const s = state()
  const before = { activeTape: s.activeTape, gradientDepth: s.gradientDepth, kernelDepth: s.kernelDepth }
  const tape: TapeNode[] = []
  Object.assign(s, { activeTape: tape, gradientDepth: 1, kernelDepth: 0 })
  try {
    return f(tape)
  } finally {
    Object.assign(s, before)
  }
}

/** Runs `f` with the tape off: teachers, routing decisions, anything that takes no gradient. */
export const detached = <T>(f: () => T): T => {
  const s = state()
  s.kernelDepth++
  try {
    return f()
  } finally {
    s.kernelDepth--
  }
}

/** Whether `detached` is around. */
export const isDetached = (): boolean => state().kernelDepth > 0

/** The innermost open scope (tidy), to be compared; undefined outside all. */
export const currentScope = (): unknown => engine().state.activeScope
