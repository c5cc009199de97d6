import { add, mul, type Tensor } from '@graftjs/tensor'
import type { Around, Flow, Kind, PatchAt, Run, Site } from './types.ts'

/** Kinds through which tensors flow: what an additive patch can stand at. */
export type Additive = { [K in Kind]: Flow[K] extends { in: Tensor; out: Tensor } ? K : never }[Kind]

type More<K extends Kind> = Partial<Omit<PatchAt<K>, 'site' | 'around' | 'delta'>>

/** A patch that wraps the site. */
export const around = <K extends Kind>(site: Site<K>, f: Around<K>, more: More<K> = {}): PatchAt<K> => ({
  site,
  around: f,
  ...more,
})

/** A patch that adds `delta(x, y)` to the site's output y; a gain on it comes free. */
export const plus = <K extends Additive>(
  site: Site<K>,
  delta: (x: Tensor, y: Tensor, run: Run) => Tensor,
  more: More<K> = {},
): PatchAt<K> => ({
  site,
  delta,
  around: ((x: Tensor, next: (x: Tensor) => Tensor, run: Run) => {
    const y = next(x)
    return add(y, delta(x, y, run))
  }) as unknown as Around<K>,
  scaled: (gain) => plus(site, (x, y, run) => mul(gain(x, run), delta(x, y, run))),
  ...more,
})
