import { GraftError } from '@graftjs/tensor/error'
import type { Patches } from './pass.ts'
import type { Patch, Site } from './types.ts'

/** The patches of each site, in their order. */
export const bySite = (patches: readonly Patch[]): Patches => {
  const map = new Map<Site, Patch[]>()
  for (const patch of patches) map.set(patch.site, [...(map.get(patch.site) ?? []), patch])
  for (const list of map.values()) refuseTwoFallbacks(list)
  return map
}

/** Each generic gate runs what is inside it twice, so two of them would run it four times. */
const refuseTwoFallbacks = (list: readonly Patch[]): void => {
  const [first, second] = list.filter((patch) => patch.runsTwice)
  if (!first || !second) return
  throw new GraftError({
    code: 'two-gates',
    culprit: first.site.path,
    message: `${first.site.path}: ${first.by} and ${second.by} both wrap it without a gain of their own (scaled, onRows, or a patch made by plus), and only one such patch a site can be gated`,
  })
}
