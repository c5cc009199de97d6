import { type Model, type Site, sitesOf } from '@graftjs/core'

export const feedForwards = (model: Model): Site<'sublayer'>[] =>
  sitesOf(model, 'sublayer').filter((site) => site.part === 'feed-forward')

export const inside = (site: Site, path: string): boolean => site.path.startsWith(`${path}.`)
