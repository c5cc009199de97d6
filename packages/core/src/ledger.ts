import { dispose, keep, type TapeNode, type Tensor } from '@graftjs/tensor'

/** A node that holds more than its `saved`: a kept stage owns its inner tape. */
export interface OwnedNode extends TapeNode {
  release?: () => void
}

/** What the executor holds longer than a scope. One a walk; emptied whatever happens. */
export interface Ledger {
  /** Takes a tensor over: no scope frees it. */
  own(t: Tensor): Tensor
  ownTape(tape: TapeNode[]): void
  free(tensors: Iterable<Tensor>): void
  empty(): void
}

export const createLedger = (): Ledger => {
  const tensors = new Set<Tensor>()
  const tapes = new Set<TapeNode[]>()
  const free = (list: Iterable<Tensor>): void => {
    for (const t of list) {
      tensors.delete(t)
      if (!t.isDisposed) dispose(t)
    }
  }
  return {
    own: (t) => {
      tensors.add(keep(t))
      return t
    },
    ownTape: (tape) => {
      tapes.add(tape)
    },
    free,
    empty: () => {
      for (const tape of tapes) releaseTape(tape)
      tapes.clear()
      free([...tensors])
    },
  }
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
