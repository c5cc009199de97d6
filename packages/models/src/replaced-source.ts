import type { Dense, Site, Weighted } from '@graftjs/core'
import { denseWeight, type StoredWeight } from '@graftjs/kernels'
import { dispose, type Tensor, zeros } from '@graftjs/tensor'
import { GraftError } from '@graftjs/tensor/error'
import { type VectorWeight, vectorOf } from './vector-weight.ts'
import type { WeightSource } from './weight-source.ts'

/**
 * The weights of `sites` again, some of them replaced. What is not replaced is lent: its first owner frees it. A bias is
 * the vector `<path>.bias`; it goes with its weight, so a replacement without one has a bias of zeros.
 */
export const replacedSource = (
  sites: readonly Site[],
  replace: (site: Site<Weighted>) => Dense | undefined,
): WeightSource & { has(site: Site): boolean } => {
  const found = new Map<string, StoredWeight | VectorWeight>()
  const replaced = new Set<Site<Weighted>>()
  for (const site of sites.filter((s): s is Site<Weighted> => 'weight' in s)) {
    const [name, biasName] = [`${site.path}.weight`, `${site.path}.bias`]
    const dense = replace(site)
    if (dense?.bias && !site.bias) {
      // What was folded so far is nobody's yet.
      for (const done of replaced) found.get(`${done.path}.weight`)?.dispose()
      for (const done of replaced) if (done.bias) found.get(`${done.path}.bias`)?.dispose()
      dispose([dense.weight, dense.bias])
      throw noBias(site)
    }
    if (dense) replaced.add(site)
    found.set(name, dense ? taken(name, dense.weight) : lent(site.weight as StoredWeight | VectorWeight, name))
    if (!site.bias) continue
    const kept = !dense || dense.bias === site.bias
    found.set(
      biasName,
      kept ? lent(vectorOf(biasName, site.bias), biasName) : vectorOf(biasName, dense.bias ?? zeros(site.bias.shape)),
    )
  }
  return {
    has: (site) => (replaced as ReadonlySet<Site>).has(site),
    matrix: (name) => found.get(name) as StoredWeight,
    vector: (name) => found.get(name) as VectorWeight,
  }
}

const taken = (name: string, values: Tensor): StoredWeight | VectorWeight =>
  values.rank === 1 ? vectorOf(name, values) : denseWeight(name, values)

const noBias = ({ path }: Site): GraftError =>
  new GraftError({
    code: 'not-mergeable',
    culprit: path,
    message: `merge: ${path} has no bias in this architecture, so the one that the adapter adds has no place; use the adapter as it is`,
  })

/** Under its own name, which a tied matrix takes when the tie parts. */
const lent = <W extends StoredWeight | VectorWeight>(weight: W, path: string): W => ({
  ...weight,
  path,
  dispose: () => {},
})
