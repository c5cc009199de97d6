import { clone, scope } from '@graftjs/tensor'
import { GraftError } from '@graftjs/tensor/error'
import type { Patches } from './pass.ts'
import type { Tuned } from './tuned.ts'
import type { Dense, Model, Patch, Site, Weighted } from './types.ts'

/**
 * The model with its active adapter folded into float32 weights; it needs no adapter any more and shares what did not
 * change. Throws, naming the patch, where one cannot be folded.
 */
export const merge = (tuned: Tuned): Model => {
  const patches = requireFoldable(tuned.patches)
  return tuned.model.withWeights((site) => scope(() => owned(foldedAt(site, patches.get(site)))))
}

/** A fold may hand back a parameter itself: the new model needs a tensor of its own. */
const owned = (folded: Dense | undefined): Dense | undefined =>
  folded && { weight: clone(folded.weight), ...(folded.bias && { bias: clone(folded.bias) }) }

/** The patches, each of which has a `fold` at a site that has a weight. */
export const requireFoldable = (patches: Patches): Patches => {
  const stuck = [...patches.values()].flat().find((patch) => !patch.fold || !('weight' in patch.site))
  if (!stuck) return patches
  throw new GraftError({
    code: 'not-mergeable',
    culprit: stuck.site.path,
    message: `merge: ${stuck.by} at ${stuck.site.path} (${stuck.site.kind}) is no change of a weight, so it cannot be folded into one; use the adapter as it is, or merge before attaching it`,
  })
}

/** The site's weight with its patches folded in, innermost first as the onion runs; undefined where there are none. */
export const foldedAt = (site: Site<Weighted>, patches: readonly Patch[] | undefined): Dense | undefined =>
  patches?.reduceRight<Dense>((w, patch) => patch.fold!(w), denseAt(site))

export const denseAt = ({ weight, bias }: Site<Weighted>): Dense => ({
  weight: weight.dense(),
  ...(bias && { bias }),
})
