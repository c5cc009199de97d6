import { add, clone, mul, sub, type Tensor } from '@graftjs/tensor'
import { GraftError } from '@graftjs/tensor/error'
import { product } from './gate.ts'
import { near } from './near.ts'
import { isWithin } from './select.ts'
import type { Around, Dense, Gain, Model, Params, Patch, PatchAt, Site, Weighted } from './types.ts'

/** PEFT adds both to a classifier's adapter, whose model has one of them. */
const EITHER = ['classifier', 'score']

/**
 * The weighted sites of the modules that `names` ends the path of, and of what is inside them. Errors: `no-target`, with
 * near names, for a name that none answers to.
 */
export const savedSites = (model: Model, names: readonly string[] | null | undefined): Site<Weighted>[] => {
  const sites = model.sites.filter((site): site is Site<Weighted> => 'weight' in site)
  // PEFT asks for no dot before the name: 'norm' is also in 'input_layernorm'.
  const under = (name: string): Site<Weighted>[] =>
    sites.filter(({ path }) => isWithin(path, (module) => module.endsWith(name)))
  const found = new Set((names ?? []).flatMap(under))
  for (const name of names ?? [])
    if (under(name).length === 0 && !(EITHER.includes(name) && found.size > 0)) throw noModule(model, name, sites)
  return sites.filter((site) => found.has(site))
}

/**
 * PEFT's `modules_to_save`: the whole weights (and biases) of `savedSites` as parameters `<path>.weight` and `<path>.bias`
 * that start as the model's. Tied weights part, as in PEFT: each site has its own.
 */
export const savedModules = (model: Model, params: Params, names: readonly string[] | null | undefined): Patch[] =>
  savedSites(model, names).map((site) => savedAt(site, params))

const savedAt = (site: Site<Weighted>, params: Params): Patch => {
  const weight = params.add(`${site.path}.weight`, site.weight.shape, () => site.weight.dense())
  const bias = site.bias && params.add(`${site.path}.bias`, site.bias.shape, () => clone(site.bias!))
  return replacing(site, () => ({ weight: weight(), ...(bias && { bias: bias() }) }))
}

/** A patch that runs the site with other weights. */
export const replacing = (site: Site<Weighted>, dense: () => Dense, gate?: Gain): Patch => {
  const own = (x: Tensor): Tensor => site.apply(x, dense())
  const around: Around<'linear'> = (x, next, run) => {
    if (!gate) return own(x)
    const g = gate(x, run)
    return add(mul(sub(1, g), next(x)), mul(g, own(x)))
  }
  const patch: PatchAt<'linear'> = {
    site: site as Site<'linear'>,
    around,
    scaled: (gain) => replacing(site, dense, product(gate, gain)) as PatchAt<'linear'>,
    ...(!gate && { fold: dense }),
  }
  return patch as Patch
}

const noModule = (model: Model, name: string, sites: readonly Pick<Site, 'path' | 'role'>[]): GraftError => {
  const roles = [...new Set(sites.map(({ role }) => role))]
  const close = near(name, [...roles, ...sites.map(({ path }) => path)])
  return new GraftError({
    code: 'no-target',
    culprit: 'modulesToSave',
    message:
      `modulesToSave: no module with weights of this ${model.type} model matches ${JSON.stringify(name)}; ` +
      `${close.length ? `near names: ${close.join(', ')}; ` : ''}it has ${roles.join(', ')}`,
  })
}
