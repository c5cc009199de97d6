import { currentScope } from '@graftjs/tensor'
import { GraftError } from '@graftjs/tensor/error'
import { placed } from './naming.ts'
import type { Site } from './types.ts'

/** What is checked of a patch: whose it is and where it stands. */
interface Guarded {
  readonly by?: string
  readonly site: Pick<Site, 'path'>
}

// The patch whose code runs now, and the scope that the executor opened for it.
let running: { readonly patch: Guarded; readonly scope: unknown } | undefined

// Errors that are somebody's already: an outer patch they pass through is not to blame.
const blamed = new WeakSet<object>()
const blame = (error: unknown): unknown => {
  if (typeof error === 'object' && error !== null) blamed.add(error)
  return error
}

/** Runs a patch's own code; an error from it says which patch it is. */
export const guarded = <T>(patch: Guarded, f: () => T): T => {
  try {
    return swap({ patch, scope: currentScope() }, f)
  } catch (error) {
    if (blamed.has(error as object)) throw error
    throw blame(placed(error, patch.site.path, patch.by))
  }
}

/** Runs what is not the patch's own code: what stands inside it. */
export const unguarded = <T>(f: () => T): T => {
  requireOwnScope()
  try {
    return swap(undefined, f)
  } catch (error) {
    throw blame(error)
  }
}

const swap = <T>(next: typeof running, f: () => T): T => {
  const outer = running
  running = next
  try {
    return f()
  } finally {
    running = outer
  }
}

/** What a scope of the method's own would free too early; called wherever the method calls the executor. */
export const requireOwnScope = (): void => {
  if (!running || running.scope === currentScope()) return
  const { patch } = running
  throw new GraftError({
    code: 'scope-in-method',
    culprit: patch.site.path,
    message: `${patch.site.path}: ${patch.by} opens a scope (scope, tidy) in its patch; the executor opens one for every site, and the method needs none`,
  })
}

/** A patch or stage is synchronous: an async one would run on after the tape is closed. */
export const refusePromise = (out: unknown, { by, site }: Guarded): void => {
  if (!(out instanceof Promise)) return
  out.catch(() => {})
  throw new GraftError({
    code: 'async-stage',
    culprit: site.path,
    message: `${site.path}: ${by ?? 'the stage'} returned a Promise; ${by ? 'a patch' : 'a stage'} is synchronous`,
  })
}
