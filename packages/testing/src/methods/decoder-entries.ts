import { type Model, type Site, sitesOf } from '@graftjs/core'

/** Layer sites inside the backbone where other tokens begin: a decoder's embedding, behind an encoder. */
export const decoderEntries = (model: Model): Site<'layer'>[] =>
  sitesOf(model, 'layer').filter((site) => site.layer < 0 && site !== model.embed.site)

/** The encoder's own stages: what runs once a text. */
export const encoderSites = (model: Model): ReadonlySet<Site<'layer'>> =>
  new Set([model.embed, ...model.stages].filter((stage) => stage.once).map((stage) => stage.site))
