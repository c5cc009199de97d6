import {
  around,
  type Gain,
  gaussian,
  type Heads,
  type Method,
  type PatchAt,
  product,
  type Site,
  sitesOf,
} from '@graftjs/core'
import {
  add,
  cast,
  concat,
  detached,
  equal,
  linear,
  mul,
  ones,
  reshape,
  scalar,
  slice,
  type Tensor,
  tanh,
} from '@graftjs/tensor'
import { GraftError } from '@graftjs/tensor/error'

/**
 * Prefix tuning (Li & Liang 2021): keys and values in front of every attention's own, all from one MLP. `derive` runs the
 * MLP once a pass, whatever the number of layers, and puts its result in the file.
 */
export const prefix = ({ tokens = 3, mid = 5 }: { tokens?: number; mid?: number } = {}): Method => ({
  name: 'prefix',
  config: { tokens, mid },
  attach: (model, params) => {
    const sites = sitesOf(model, 'attention')
    const width = sites.reduce((sum, site) => sum + 2 * site.inDim, 0)
    const embedding = params.add('transform.embedding.weight', [tokens, mid], gaussian(1))
    const first = params.add('transform.0.weight', [mid, mid], gaussian(0.5))
    const second = params.add('transform.2.weight', [width, mid], gaussian(0.3))
    const whole = params.derive('prompt_embeddings', [tokens, width], () =>
      linear(tanh(linear(embedding(), first())), second()),
    )
    let at = 0
    return sites.map((site) => {
      const from = at
      at += 2 * site.inDim
      const part = (offset: number) => slice(whole(), [0, from + offset], [tokens, site.inDim])
      return prefixPatch(site, () => ({ k: part(0), v: part(site.inDim) }))
    })
  },
})

/** Keys and values [P, Hkv · D] in front. A gain by row multiplies them (UniPELT's rule); where it is 0 nobody sees them. */
const prefixPatch = (
  site: Site<'attention'>,
  make: () => { k: Tensor; v: Tensor },
  gain?: Gain,
): PatchAt<'attention'> =>
  around(
    site,
    (heads, next, run) => {
      const { k, v } = make()
      const g = gain && rowGain(site, gain(heads.x, run)) // [B or 1, 1, 1, 1]
      const inFront = (own: Tensor, rows: Tensor): Tensor => {
        const [batch, , count, dim] = own.shape as [number, number, number, number]
        const shared = mul(reshape(rows, [1, -1, count, dim]), ones([batch, 1, 1, 1]))
        return concat([g ? mul(shared, g) : shared, own], 1)
      }
      const keySegments = concat([detached(() => prefixSegments(heads, k.shape[0]!, g)), heads.keySegments], 1)
      return next({
        ...heads,
        k: inFront(heads.k, k),
        v: inFront(heads.v, v),
        open: heads.open + k.shape[0]!,
        keySegments,
      })
    },
    { scaled: (more) => prefixPatch(site, make, product(gain, more)) },
  )

/** -1, seen by all; -2, seen by none, where the gain is 0. int32 [B, P]. */
const prefixSegments = ({ keySegments }: Heads, count: number, g: Tensor | undefined): Tensor => {
  const batch = keySegments.shape[0]!
  const off = g ? cast(equal(reshape(g, [-1, 1]), 0), 'int32') : scalar(0, 'int32')
  return add(cast(mul(ones([batch, count]), -1), 'int32'), mul(off, scalar(-1, 'int32')))
}

const rowGain = (site: Site, g: Tensor): Tensor => {
  if (g.rank === 3 && g.shape[1] === 1) return reshape(g, [g.shape[0]!, 1, 1, 1])
  throw new GraftError({
    code: 'no-gain',
    culprit: site.path,
    given: `a gain of shape [${g.shape}] on a prefix`,
    expected: 'one for each row, [B, 1, 1]: keys have no token of their own',
  })
}
