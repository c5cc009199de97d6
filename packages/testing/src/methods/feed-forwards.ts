import { type Model, type Site, sitesOf } from '@graftjs/core'

/** The sublayers without attention. */
export const feedForwards = (model: Model): Site<'sublayer'>[] => {
  const attentions = sitesOf(model, 'attention')
  return sitesOf(model, 'sublayer').filter(({ path }) => !attentions.some((site) => inside(site, path)))
}

export const inside = (site: Site, path: string): boolean => site.path.startsWith(`${path}.`)
