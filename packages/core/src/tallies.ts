import { add, addN, isDetached, type Tensor } from '@graftjs/tensor'
import { createLedger, type Ledger } from './ledger.ts'
import type { Tally } from './types.ts'

interface Collected {
  readonly tallies: Map<Tally, Tensor[]>
  readonly ledger: Ledger
}
let open: Collected | undefined

/** Whether a pass that begins now adds to the statistics (a teacher's does not). */
export const isTallying = (): boolean => open !== undefined && !isDetached()

/** Notes a statistic of the pass. */
export const noteTally = (t: Tally, x: Tensor): void => {
  const { tallies } = open!
  tallies.set(t, [...(tallies.get(t) ?? []), x])
}

/** Who frees what is tallied, where no walk does: it outlives the scope of its site. */
export const talliesLedger = (): Ledger => open!.ledger

/** The loss plus what the statistics of its passes come to. */
export const withTallies = (loss: () => Tensor): Tensor => {
  const outer = open
  const collected: Collected = { tallies: new Map(), ledger: createLedger() }
  open = collected
  try {
    const value = loss()
    return [...collected.tallies].reduce((total, [t, xs]) => add(total, t.finish(sumOf(xs), xs.length)), value)
  } finally {
    // The tape holds its own references.
    collected.ledger.empty()
    open = outer
  }
}

const sumOf = (xs: Tensor[]): Tensor => (xs.length > 1 ? addN(xs) : xs[0]!)
