import type { Tensor } from '@graftjs/tensor'
import type { Call, Param, Patch, Site } from './types.ts'

/** The patches that act, by site. */
export type Patches = ReadonlyMap<Site, readonly Patch[]>

/** One forward pass: what is fixed for all of its stages, and for their replays. */
export interface Pass {
  readonly call: Call
  readonly past: number
  readonly patches: Patches
  /** Stages are nodes of the tape: inside `backward`, with the tape on (a teacher's pass is not). */
  readonly staged: boolean
  /** Statistics are collected. */
  readonly tallied: boolean
  /** Which rows use an adapter, [B, 1, 1]. */
  readonly rows: ReadonlyMap<string, Tensor>
  readonly derived: Map<Param, Tensor>
}

let current: Pass | undefined

/** The pass whose code runs now. */
export const currentPass = (): Pass | undefined => current

export const inPass = <T>(pass: Pass, f: () => T): T => {
  const outer = current
  current = pass
  try {
    return f()
  } finally {
    current = outer
  }
}
