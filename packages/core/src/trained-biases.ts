import { add, clone, sub } from '@graftjs/tensor'
import { plus } from './patch.ts'
import type { Params, Patch, Site, Weighted } from './types.ts'

/** The sites' own biases as parameters that start as the model's, under the names that `nameOf` gives; sites without one are passed over. */
export const trainedBiases = (
  sites: readonly Site<Weighted>[],
  params: Params,
  nameOf: (site: Site<Weighted>) => string = ({ path }) => `${path}.bias`,
): Patch[] =>
  sites.flatMap((site) => {
    const { bias } = site
    if (!bias) return []
    const own = params.add(nameOf(site), bias.shape, () => clone(bias))
    return plus(site as Site<'linear'>, () => sub(own(), bias), {
      // Another patch may have folded a bias of its own into it.
      fold: (w) => ({ weight: w.weight, bias: w.bias === bias ? own() : add(w.bias!, sub(own(), bias)) }),
    })
  })
