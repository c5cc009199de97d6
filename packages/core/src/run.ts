import { clone, detached, dropout, hashString, scope, type Tensor } from '@graftjs/tensor'
import { GraftError } from '@graftjs/tensor/error'
import { guarded, refusePromise, requireOwnScope, unguarded } from './guard.ts'
import { inPass, type Pass } from './pass.ts'
import type { StageState } from './stage-state.ts'
import { talliesLedger } from './tallies.ts'
import type { Flow, Frame, Key, Kind, LowRank, Next, Patch, PatchAt, Run, Site, Stream } from './types.ts'
import { currentWalk } from './walk.ts'

/** What the executor sees of a run: the pass it belongs to and the state of the stage it is in. */
export interface StageRun extends Run {
  readonly pass: Pass
  readonly state: StageState
  /** The same run at the beginning of a stage that sees `frame`. */
  within(state: StageState, frame: Frame): StageRun
}

export const createRun = (
  pass: Pass,
  state: StageState,
  frame: Frame,
  values: ReadonlyMap<object, unknown> = new Map(),
): StageRun => {
  const { call, patches } = pass
  const run: StageRun = {
    call,
    past: pass.past,
    pass,
    state,
    frame,
    at: (site, input, base) => inPass(pass, () => onion(pass.patches, site, input, base, run)),
    with: (key, value) => createRun(pass, state, frame, new Map(values).set(key, value)),
    get: <T>(key: Key<T>): T => (values.has(key) ? (values.get(key) as T) : key.none),
    dropout: (x, rate) => {
      requireOwnScope()
      if (!call.training || rate === 0) return x
      return dropout(x, rate, call.seed ?? 0, hashString(`${state.place}#${state.draws++}`))
    },
    once: (choose) => {
      requireOwnScope()
      return pass.staged ? state.choice(() => choice(choose)) : detached(choose)
    },
    rows: (adapter) => pass.rows.get(adapter) ?? unknownRows(adapter),
    tally: (t, x) => {
      requireOwnScope()
      if (pass.tallied) state.tally(t, (currentWalk()?.ledger ?? talliesLedger()).own(clone(x)))
    },
    plan: (site) => planOf(patches.get(site) ?? [], run),
    patched: (site) => patches.has(site),
    within: (next, seen) => createRun(pass, next, seen, values),
  }
  return run
}

const choice = (choose: () => Tensor): Tensor => detached(() => currentWalk()!.ledger.own(scope(() => clone(choose()))))

/** The first patch is outermost. One scope a site call frees its temporaries, so no author writes one. */
const onion = <K extends Kind>(
  patches: Pass['patches'],
  site: Site<K>,
  input: Flow[K]['in'],
  base: (input: Flow[K]['in'], run: Run) => Flow[K]['out'],
  run: StageRun,
): Flow[K]['out'] => {
  const { state } = run
  const here = (patches.get(site as Site) ?? []) as unknown as readonly PatchAt<K>[]
  if (here.length > 0) state.patched = true
  // `run` given to `next` replaces the run of everything inside.
  const through = here.reduceRight<Next<K>>(
    (next, patch) =>
      (x, r = run) =>
        passThrough(patch, x, next, r),
    (x, r = run) => base(x, r),
  )
  return site.kind === 'head' ? through(input, run) : (scope(() => through(input, run) as Tensor) as Flow[K]['out'])
}

const passThrough = <K extends Kind>(
  patch: PatchAt<K>,
  input: Flow[K]['in'],
  next: Next<K>,
  run: Run,
): Flow[K]['out'] => {
  const frames = new Set([frameOf(input)])
  const inner: Next<K> = (x, r = run) => {
    const out = unguarded(() => next(x, r))
    // A stage may begin another frame (a decoder's); what a patch gives it instead (a few tokens) is the patch's own affair.
    if (frameOf(x) === frameOf(input)) frames.add(frameOf(out))
    return out
  }
  const out = guarded(patch, () => patch.around(input, inner, run))
  refusePromise(out, patch)
  if (patch.site.kind === 'layer' && !frames.has(frameOf(out))) throw frameChanged(patch)
  return out
}

const frameOf = (value: unknown): Frame | undefined => (value as Partial<Stream>).frame

const frameChanged = ({ site, by }: Pick<Patch, 'by' | 'site'>): GraftError =>
  new GraftError({
    code: 'frame-changed',
    culprit: site.path,
    message: `${site.path}: ${by} returns another frame than it was given; a patch at a layer may change the leaves alone`,
  })

const planOf = (patches: readonly Patch[], run: Run): LowRank[] | 'generic' => {
  const parts = patches.map((p) => p.lowRank?.(run))
  return parts.includes(undefined) ? 'generic' : (parts as LowRank[])
}

const unknownRows = (adapter: string): never => {
  throw new GraftError({
    code: 'unknown-adapter',
    culprit: 'run.rows',
    given: JSON.stringify(adapter),
    expected: 'an adapter that this call uses',
  })
}
