import {
  add,
  clone,
  currentTape,
  detached,
  dispose,
  ones,
  record,
  scope,
  type TapeNode,
  type Tensor,
} from '@graftjs/tensor'
import { GraftError } from '@graftjs/tensor/error'
import { type StoredParam, watching } from './params.ts'
import type { Param } from './types.ts'

/** One pass of `backward`: what depends on a live parameter, and every tape that must be emptied whatever happens. */
interface Walk {
  /** Ids of the tensors that depend on a live parameter. */
  readonly active: Set<number>
  /** Live parameters by the id of the tensor they were read as. */
  readonly params: Map<number, StoredParam>
  readonly tapes: Set<TapeNode[]>
  /** Bytes held by kept stages, of `Call.keep`. */
  keptBytes: number
}
let walk: Walk | undefined

export const currentWalk = (): Walk | undefined => walk

/** A node that holds more than its `saved`: a kept stage owns its inner tape. */
export interface OwnedNode extends TapeNode {
  release?: () => void
}

/** Marks what the new nodes of `tape` (from index `from` on) produce from active tensors. */
export const spread = (tape: readonly TapeNode[], from = 0): void => {
  const active = walk!.active
  for (let i = from; i < tape.length; i++) {
    const { inputs, outputs } = tape[i]!
    if (Object.values(inputs).some((t) => active.has(t.id))) for (const t of outputs) active.add(t.id)
  }
}

/**
 * Runs `loss` with the tape on and walks back from the scalar it returns. `onGrad` is called inside the walk, once for
 * each live parameter that the loss depends on, as soon as the last op that read it is behind; it may update the
 * parameter. The gradient is freed after the call: keep or clone it to have it longer.
 */
export const backward = (loss: () => Tensor, onGrad: (param: Param, grad: Tensor) => void): Tensor => {
  if (walk)
    throw new GraftError({
      code: 'nested-backward',
      culprit: 'backward',
      message: 'backward: called inside another backward; use detached() for a teacher, or sum the losses',
    })
  walk = { active: new Set(), params: new Map(), tapes: new Set(), keptBytes: 0 }
  const { tapes } = walk
  try {
    return scope(() => {
      const { tape, value } = recorded(loss)
      if (value.size !== 1)
        throw new GraftError({
          code: 'bad-loss',
          culprit: 'backward',
          given: `a loss of shape [${value.shape}]`,
          expected: 'a scalar: take the sum or the mean',
        })
      const finished = finishedAt(tape)
      pullback(tape, [[value, ones(value.shape)]], finished, (param, grad) => onGrad(param, grad))
      return value
    })
  } finally {
    for (const tape of tapes) releaseTape(tape)
    walk = undefined
  }
}

const recorded = (loss: () => Tensor): { tape: TapeNode[]; value: Tensor } =>
  record((tape) => {
    walk!.tapes.add(tape)
    const value = watching(noteRead, loss)
    spread(tape)
    return { tape, value }
  })

const noteRead = (param: StoredParam): void => {
  if (!param.trainable) return
  walk?.active.add(param.value.id)
  walk?.params.set(param.value.id, param)
}

/** For each node index, the parameters whose first reader it is: behind it their gradient is whole. */
const finishedAt = (tape: readonly TapeNode[]): Map<number, StoredParam[]> => {
  const seen = new Set<number>()
  const at = new Map<number, StoredParam[]>()
  tape.forEach((node, i) => {
    for (const { id } of Object.values(node.inputs)) {
      const param = walk!.params.get(id)
      if (!param || seen.has(id)) continue
      seen.add(id)
      at.set(i, [...(at.get(i) ?? []), param])
    }
  })
  return at
}

/**
 * Reverse mode over one tape. Cotangents and saved tensors are freed as the walk passes them. Returns the cotangents of
 * the tensors in `wanted` (null where none arrived), owned by the caller's scope.
 */
export const pullback = (
  tape: TapeNode[],
  seeds: readonly (readonly [Tensor, Tensor])[],
  finished: ReadonlyMap<number, readonly StoredParam[]> = new Map(),
  onGrad?: (param: StoredParam, grad: Tensor) => void,
  wanted: readonly Tensor[] = [],
): (Tensor | null)[] => {
  const cotangents = new Map<number, Tensor>()
  const accumulate = (id: number, grad: Tensor): void => {
    const before = cotangents.get(id)
    cotangents.set(id, before ? add(before, grad) : grad)
    if (before) dispose([before, grad])
  }
  const keepIds = new Set([...wanted.map((t) => t.id), ...walk!.params.keys()])
  detached(() => {
    for (const [t, dy] of seeds) accumulate(t.id, clone(dy))
    for (let i = tape.length - 1; i >= 0; i--) {
      const node = tape[i]!
      pullNode(node, cotangents, accumulate)
      for (const t of node.outputs) if (!keepIds.has(t.id)) drop(cotangents, t.id)
      release(node)
      for (const param of finished.get(i) ?? []) {
        const grad = cotangents.get(param.value.id)
        if (!grad) continue
        cotangents.delete(param.value.id)
        onGrad?.(param, grad)
        if (!grad.isDisposed) dispose(grad)
      }
    }
  })
  tape.length = 0
  return wanted.map((t) => cotangents.get(t.id) ?? null)
}

const drop = (cotangents: Map<number, Tensor>, id: number): void => {
  const t = cotangents.get(id)
  if (t) dispose(t)
  cotangents.delete(id)
}

const pullNode = (
  node: TapeNode,
  cotangents: ReadonlyMap<number, Tensor>,
  accumulate: (id: number, grad: Tensor) => void,
): void => {
  const dys = node.outputs.map((t) => cotangents.get(t.id) ?? null)
  const inputs = Object.entries(node.inputs).filter(([, t]) => walk!.active.has(t.id))
  if (inputs.length === 0 || dys.every((dy) => dy === null)) return
  if (!node.gradient)
    throw new GraftError({
      code: 'no-gradient',
      culprit: node.kernelName,
      message: `${node.kernelName} has no gradient; take it in detached() if none should pass`,
    })
  const grads = scope(() => {
    const thunks = node.gradient!(dys)
    return inputs.map(([name]) => {
      const grad = thunks[name]?.()
      // A gradient function may hand back a cotangent itself; each must own its tensor.
      return grad && (dys.includes(grad) ? clone(grad) : grad)
    })
  })
  const owned = new Set<Tensor>()
  grads.forEach((grad, i) => {
    if (!grad) return
    accumulate(inputs[i]![1].id, owned.has(grad) ? clone(grad) : grad)
    owned.add(grad)
  })
}

export const release = (node: OwnedNode): void => {
  for (const t of node.saved ?? []) if (!t.isDisposed) dispose(t)
  node.saved = []
  node.release?.()
  delete node.release
}

export const releaseTape = (tape: TapeNode[]): void => {
  for (const node of tape) release(node)
  tape.length = 0
}

/** Whether the tensor depends on a live parameter, as far as the open tape has come. */
export const isActive = (t: Tensor): boolean => {
  spread(currentTape())
  return walk!.active.has(t.id)
}
