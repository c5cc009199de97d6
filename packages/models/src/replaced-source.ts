import type { Dense, Site, Weighted } from '@graftjs/core'
import { denseWeight, type StoredWeight } from '@graftjs/kernels'
import { GraftError } from '@graftjs/tensor/error'
import type { WeightSource } from './llama.ts'
import { type VectorWeight, vectorOf } from './vector-weight.ts'

/** The weights of `sites` again, some of them replaced. What is not replaced is lent: its first owner frees it. */
export const replacedSource = (
  sites: readonly Site[],
  replace: (site: Site<Weighted>) => Dense | undefined,
): WeightSource & { has(site: Site): boolean } => {
  const weighted = sites.filter((site): site is Site<Weighted> => 'weight' in site)
  const made = new Map<string, StoredWeight | VectorWeight>()
  for (const site of weighted) {
    const dense = replace(site)
    if (!dense) continue
    if (dense.bias && !site.bias) throw noBias(site)
    const name = `${site.path}.weight`
    made.set(name, dense.weight.rank === 1 ? vectorOf(name, dense.weight) : denseWeight(name, dense.weight))
  }
  const find = (name: string): StoredWeight | VectorWeight =>
    made.get(name) ??
    lent(weighted.find((site) => `${site.path}.weight` === name)!.weight as StoredWeight | VectorWeight)
  return {
    has: (site) => made.has(`${site.path}.weight`),
    matrix: (name) => find(name) as StoredWeight,
    vector: (name) => find(name) as VectorWeight,
  }
}

const noBias = ({ path }: Site): GraftError =>
  new GraftError({
    code: 'not-mergeable',
    culprit: path,
    message: `merge: ${path} has no bias in this architecture, so the one that the adapter adds has no place; use the adapter as it is`,
  })

const lent = <W extends StoredWeight | VectorWeight>(weight: W): W => ({ ...weight, dispose: () => {} })
