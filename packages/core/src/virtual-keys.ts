import { add, cast, concat, detached, equal, mul, neg, ones, reshape, type Tensor, zeros } from '@graftjs/tensor'
import { GraftError } from '@graftjs/tensor/error'
import { product } from './gate.ts'
import { around } from './patch.ts'
import type { Gain, PatchAt, Run, Site } from './types.ts'

/** Keys and values in front of an attention's own, each [P, Hkv · D]. */
export interface KeysAndValues {
  readonly k: Tensor
  readonly v: Tensor
}

/**
 * A patch that puts keys and values in front of an attention's own (prefix tuning, Li & Liang 2021): every query sees
 * them, they have no position, and no cache holds them. A gain by row, [B or 1, 1, 1], multiplies both (UniPELT's rule);
 * where it is 0 no query sees them.
 */
export const virtualKeys = (site: Site<'attention'>, make: (run: Run) => KeysAndValues): PatchAt<'attention'> => {
  const patch = (gain?: Gain): PatchAt<'attention'> =>
    around(
      site,
      (heads, next, run) => {
        const { k, v } = make(run)
        const g = gain && rowGain(site, gain(heads.x, run))
        const segments = detached(() => segmentsOf(heads.keySegments.shape[0]!, k.shape[0]!, g))
        return next({
          ...heads,
          k: inFront(k, heads.k, g),
          v: inFront(v, heads.v, g),
          open: heads.open + k.shape[0]!,
          keySegments: concat([segments, heads.keySegments], 1),
        })
      },
      { scaled: (more) => patch(product(gain, more)) },
    )
  return patch()
}

/** g · rows [P, Hkv · D], for every row of the batch, in front of own [B, S, Hkv, D]. */
const inFront = (rows: Tensor, own: Tensor, g: Tensor | undefined): Tensor => {
  const [batch, , heads, dim] = own.shape as [number, number, number, number]
  const all = mul(reshape(rows, [1, -1, heads, dim]), ones([batch, 1, 1, 1]))
  return concat([g ? mul(all, g) : all, own], 1)
}

/** -1, seen by all; -2, seen by none, where the gain is 0. int32 [B, P]. */
const segmentsOf = (batch: number, count: number, g: Tensor | undefined): Tensor => {
  const off = g ? cast(equal(reshape(g, [-1, 1]), 0), 'float32') : zeros([1, 1])
  return cast(neg(add(ones([batch, count]), off)), 'int32')
}

/** [B or 1, 1, 1, 1] */
const rowGain = (site: Site, g: Tensor): Tensor => {
  if (g.rank === 3 && g.shape[1] === 1) return reshape(g, [g.shape[0]!, 1, 1, 1])
  throw new GraftError({
    code: 'no-gain',
    culprit: site.path,
    given: `a gain of shape [${g.shape}] on virtual keys`,
    expected: 'one for each row, [B, 1, 1]: keys have no token of their own',
  })
}
