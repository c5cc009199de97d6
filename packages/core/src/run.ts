import { dropout, hashString, scope, type Tensor } from '@graftjs/tensor'
import type { Call, Flow, Key, Kind, LowRank, Next, Patch, PatchAt, Run, Site } from './types.ts'

/** The patches of a tuned model, by site. */
export type Patches = ReadonlyMap<Site, readonly Patch[]>

interface Draws {
  readonly place: string
  count: number
}

/** A run that the executor can restart: `fresh(place)` begins a stage with its dropout draws counted from zero. */
export interface StageRun extends Run {
  fresh(place: string): StageRun
}

export const createRun = (
  patches: Patches,
  call: Call,
  draws: Draws = { place: 'outside', count: 0 },
  values: ReadonlyMap<object, unknown> = new Map(),
): StageRun => {
  const run: StageRun = {
    call,
    at: (site, input, base) => onion(patches, site, input, base, run),
    with: (key, value) => createRun(patches, call, draws, new Map(values).set(key, value)),
    get: <T>(key: Key<T>): T => (values.has(key) ? (values.get(key) as T) : key.none),
    dropout: (x, rate) =>
      call.training && rate > 0 ? dropout(x, rate, call.seed ?? 0, hashString(`${draws.place}#${draws.count++}`)) : x,
    plan: (site) => planOf(patches.get(site) ?? [], run),
    patched: (site) => patches.has(site),
    fresh: (place) => createRun(patches, call, { place, count: 0 }, values),
  }
  return run
}

/** The first patch is outermost. One scope a site call frees its temporaries, so no author writes one. */
const onion = <K extends Kind>(
  patches: Patches,
  site: Site<K>,
  input: Flow[K]['in'],
  base: (input: Flow[K]['in'], run: Run) => Flow[K]['out'],
  run: Run,
): Flow[K]['out'] => {
  const here = (patches.get(site as Site) ?? []) as unknown as readonly PatchAt<K>[]
  const inner: Next<K> = (x, r = run) => base(x, r)
  // `run` given to `next` replaces the run of everything inside.
  const through = here.reduceRight<Next<K>>(
    (next, patch) =>
      (x, r = run) =>
        patch.around(x, (y, s = r) => next(y, s), r),
    inner,
  )
  return site.kind === 'head' ? through(input, run) : (scope(() => through(input, run) as Tensor) as Flow[K]['out'])
}

const planOf = (patches: readonly Patch[], run: Run): LowRank[] | 'generic' => {
  const parts = patches.map((p) => p.lowRank?.(run))
  return parts.includes(undefined) ? 'generic' : (parts as LowRank[])
}
