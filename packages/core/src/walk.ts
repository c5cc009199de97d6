import {
  add,
  clone,
  currentTape,
  detached,
  dispose,
  isTaping,
  ones,
  record,
  scope,
  type TapeNode,
  type Tensor,
} from '@graftjs/tensor'
import { GraftError } from '@graftjs/tensor/error'
import { createLedger, type Ledger, type OwnedNode, release } from './ledger.ts'
import { type StoredParam, watching } from './params.ts'
import { withTallies } from './tallies.ts'
import type { Param } from './types.ts'

/** One pass of `backward`. */
interface Walk {
  /** Ids of the tensors that depend on a live parameter. */
  readonly active: Set<number>
  /** Live parameters by the id of the tensor they were read as. */
  readonly params: Map<number, StoredParam>
  /** All that must be freed whatever happens. */
  readonly ledger: Ledger
  /** Bytes held by kept stages, of `Call.keep`. */
  keptBytes: number
}
let walk: Walk | undefined

export const currentWalk = (): Walk | undefined => walk

/**
 * Runs `loss` with the tape on and walks back from the scalar it returns plus what the tallies come to; returns that
 * sum. `onGrad` is called inside the walk, once for each live parameter that the loss depends on, as soon as the last op
 * that read it is behind; it may update the parameter. The gradient is freed after the call: keep or clone it to have
 * it longer.
 */
export const backward = (loss: () => Tensor, onGrad: (param: StoredParam, grad: Tensor) => void): Tensor => {
  if (walk)
    throw new GraftError({
      code: 'nested-backward',
      culprit: 'backward',
      message: 'backward: called inside another backward; use detached() for a teacher, or sum the losses',
    })
  const ledger = createLedger()
  walk = { active: new Set(), params: new Map(), ledger, keptBytes: 0 }
  try {
    return scope(() => {
      const { tape, value } = recorded(loss)
      pullback(tape, [[value, ones(value.shape)]], { finished: finishedAt(tape), onGrad })
      return value
    })
  } finally {
    ledger.empty()
    walk = undefined
  }
}

const recorded = (loss: () => Tensor): { tape: TapeNode[]; value: Tensor } =>
  record((tape) => {
    walk!.ledger.ownTape(tape)
    const value = watching(noteRead, () => withTallies(() => checkScalar(loss())))
    spread(tape)
    return { tape, value }
  })

const noteRead = (param: Param, value: Tensor): void => {
  // A derived parameter is no leaf: it is on the tape, as what it was computed from.
  if (!param.trainable || !('value' in param)) return
  walk!.active.add(value.id)
  walk!.params.set(value.id, param as StoredParam)
}

const checkScalar = (value: Tensor): Tensor => {
  if (value.size === 1) return value
  throw new GraftError({
    code: 'bad-loss',
    culprit: 'backward',
    given: `a loss of shape [${value.shape}]`,
    expected: 'a scalar: take the sum or the mean',
  })
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

interface PullbackOptions {
  /** Tensors whose cotangents are asked for. */
  readonly wanted?: readonly Tensor[]
  /** By node index: the parameters whose gradient is whole behind it. */
  readonly finished?: ReadonlyMap<number, readonly StoredParam[]>
  readonly onGrad?: (param: StoredParam, grad: Tensor) => void
}

/**
 * Reverse mode over one tape. Cotangents and saved tensors are freed as the walk passes them. Returns the cotangents of
 * the tensors in `wanted` (null where none arrived), owned by the caller's scope.
 */
export const pullback = (
  tape: TapeNode[],
  seeds: readonly (readonly [Tensor, Tensor])[],
  { wanted = [], finished, onGrad }: PullbackOptions,
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
      for (const param of finished?.get(i) ?? []) handOver(param, cotangents, onGrad!)
    }
  })
  tape.length = 0
  return wanted.map((t) => cotangents.get(t.id) ?? null)
}

const handOver = (
  param: StoredParam,
  cotangents: Map<number, Tensor>,
  onGrad: (param: StoredParam, grad: Tensor) => void,
): void => {
  const { id } = param.value
  const grad = cotangents.get(id)
  if (!grad) return
  cotangents.delete(id)
  onGrad(param, grad)
  if (!grad.isDisposed) dispose(grad)
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

/** Marks what the nodes of `tape` produce from active tensors. */
export const spread = (tape: readonly TapeNode[]): void => {
  const active = walk!.active
  for (const { inputs, outputs } of tape)
    if (Object.values(inputs).some((t) => active.has(t.id))) for (const t of outputs) active.add(t.id)
}

/** Whether the tensor depends on a live parameter, as far as the open tape has come. */
export const isActive = (t: Tensor): boolean => {
  spread(currentTape())
  return walk!.active.has(t.id)
}

/** The node just pushed. */
export const lastNode = (): OwnedNode => currentTape().at(-1) as OwnedNode

/**
 * A tensor that depends on a parameter and comes into a stage from elsewhere than the stream loses its gradient
 * silently; so it is refused. `given`: what the stage was given and the parameters that it read.
 */
export const refuseCaptured = (path: string, tape: readonly TapeNode[], given: readonly Tensor[]): void => {
  // tfjs records the clone that an op saves of its output before the op itself, so all that the tape makes is known first.
  const known = new Set([...given, ...tape.flatMap(({ outputs }) => outputs)].map((t) => t.id))
  for (const { kernelName, inputs } of tape)
    for (const t of Object.values(inputs)) {
      if (known.has(t.id) || !walk!.active.has(t.id)) continue
      throw new GraftError({
        code: 'captured-tensor',
        culprit: path,
        message: `${path}: ${kernelName} reads a tensor [${t.shape}] that depends on a parameter but was made outside this stage; pass it through the stream or make it with params.derive`,
      })
    }
}

export const isRecording = (): boolean => walk !== undefined && isTaping()
