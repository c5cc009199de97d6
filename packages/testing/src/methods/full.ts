import { around, type Dense, type Method, memo, type Site, type Weighted } from '@graftjs/core'
import { clone } from '@graftjs/tensor'

/** Full tuning: the model's own weights as parameters, norms and biases too. Tied weights are one parameter. */
export const full = (): Method => ({
  name: 'full',
  config: {},
  attach: (model, params) => {
    const weightOf = memo(
      ({ weight }: Site<Weighted>) => weight.path,
      ({ weight }) => params.add(weight.path, weight.shape, () => weight.dense()),
    )
    const sites = model.sites.filter((site): site is Site<Weighted> => 'weight' in site)
    return sites.map((site) => {
      const weight = weightOf(site)
      const bias = site.bias && params.add(`${site.path}.bias`, site.bias.shape, () => clone(site.bias!))
      const own = (): Dense => ({ weight: weight(), ...(bias && { bias: bias() }) })
      return around(site as Site<'linear'>, (x) => site.apply(x, own()), { fold: own })
    })
  },
})
