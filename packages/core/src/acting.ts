import { scope, type Tensor, tensor } from '@graftjs/tensor'
import { GraftError } from '@graftjs/tensor/error'
import { bySite } from './by-site.ts'
import { onRows } from './gate.ts'
import { inPass, type Pass, type Patches } from './pass.ts'
import { isTallying } from './tallies.ts'
import type { Adapter, Tuned } from './tuned.ts'
import type { Batch, Call, Param, Patch, Refusal } from './types.ts'
import { isUnstaged } from './unstaged.ts'
import { currentWalk, isRecording } from './walk.ts'

/** Which adapters act in this call, and on which rows. */
export const actingPass = (tuned: Tuned, batch: Batch, call: Call): Pass => {
  const names = namesByRow(tuned, call, batch.ids.length)
  const { adapters, patches: own } = actingIn(tuned, names)
  const patches = call.patches ? withCalls(own, call.patches) : own
  refuse(patches, batch, call)
  const pass: Pass = {
    call,
    patches,
    past: call.cache?.length ?? 0,
    staged: isRecording() && !isUnstaged(),
    tallied: isTallying(),
    rows: new Map(adapters.map(({ name }) => [name, held(rowsOf(name, names, batch.ids.length))])),
    derived: new Map<Param, Tensor>(),
  }
  inPass(pass, () => {
    for (const { params } of adapters)
      for (const param of params.derived.values()) pass.derived.set(param, held(scope(() => param.make())))
  })
  return pass
}

const actingIn = (tuned: Tuned, names: readonly (string | null)[]): { adapters: Adapter[]; patches: Patches } => {
  const different = new Set(names)
  const adapters = [...different].flatMap((name) => (name === null ? [] : [tuned.adapter(name)]))
  return { adapters, patches: different.size > 1 ? mixed(tuned, adapters) : (adapters[0]?.patches ?? none) }
}

/** Replays read these: inside `backward` no scope of the caller's may free them. */
const held = (t: Tensor): Tensor => (isRecording() ? currentWalk()!.ledger.own(t) : t)

const none: Patches = new Map()

/** One name for all rows, or one a row. */
const namesByRow = (tuned: Tuned, { adapter = tuned.active }: Call, batch: number): readonly (string | null)[] => {
  if (adapter === null || typeof adapter === 'string') return [adapter]
  if (adapter.length === batch) return adapter
  throw new GraftError({
    code: 'bad-option',
    culprit: 'adapter',
    given: `${adapter.length} names`,
    expected: `one a row: ${batch}; null where a row takes the bare base`,
  })
}

const rowsOf = (name: string, names: readonly (string | null)[], batch: number): Tensor =>
  tensor(
    Float32Array.from({ length: batch }, (_, b) => ((names.length === 1 ? names[0] : names[b]) === name ? 1 : 0)),
    [batch, 1, 1],
  )

const mixes = new WeakMap<Tuned, Map<string, Patches>>()

/** Each adapter's patches switched on for its own rows. Built once for each set of adapters. */
const mixed = (tuned: Tuned, adapters: readonly Adapter[]): Patches => {
  const known = mixes.get(tuned) ?? new Map<string, Patches>()
  mixes.set(tuned, known)
  const key = JSON.stringify(adapters.map(({ id }) => id))
  const made =
    known.get(key) ??
    bySite(
      adapters.flatMap(({ name, patches }) =>
        [...patches.values()].flat().map((patch) => onRows(patch, (_, run) => run.rows(name))),
      ),
    )
  known.set(key, made)
  return made
}

const joined = new WeakMap<Patches, WeakMap<readonly Patch[], Patches>>()

/** The call's own patches around the adapters'. Built once for each pair. */
const withCalls = (own: Patches, calls: readonly Patch[]): Patches => {
  const known = joined.get(own) ?? new WeakMap<readonly Patch[], Patches>()
  joined.set(own, known)
  const made = known.get(calls) ?? bySite([...calls, ...[...own.values()].flat()])
  known.set(calls, made)
  return made
}

const refuse = (patches: Patches, batch: Batch, call: Call): void => {
  if (call.cache) refuseFor(patches, 'cache', 'cannot run with a cache; call without one (generate does)')
  if (isPacked(batch)) refuseFor(patches, 'packing', 'cannot run on packed rows; give one document a row')
}

const refuseFor = (patches: Patches, what: Refusal, why: string): void => {
  const patch = refusing(patches, what)
  if (!patch) return
  throw new GraftError({
    code: `no-${what}`,
    culprit: patch.by ?? patch.site.path,
    message: `${patch.by}: its patch at ${patch.site.path} reads a row as one whole, so it ${why}`,
  })
}

const refusing = (patches: Patches, what: Refusal): Patch | undefined =>
  [...patches.values()].flat().find((patch) => patch.refuses?.includes(what))

/**
 * Whether the tuned model can be used with a cache; where it cannot, a caller recomputes from the whole text. An encoder alone
 * cannot: what it made of the first tokens changes with those behind.
 */
export const canCache = (tuned: Tuned, { adapter = tuned.active }: Pick<Call, 'adapter'> = {}): boolean => {
  const names = adapter === null || typeof adapter === 'string' ? [adapter] : adapter
  const { causal, stages } = tuned.model
  return (causal || stages.some(({ once }) => once)) && !refusing(actingIn(tuned, names).patches, 'cache')
}

const isPacked = ({ segments, decoderSegments }: Batch): boolean =>
  [...(segments ?? []), ...(decoderSegments ?? [])].some((row) => new Set(row.filter((s) => s >= 0)).size > 1)
