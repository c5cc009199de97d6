import {
  around,
  type Gain,
  type Method,
  type Param,
  type PatchAt,
  product,
  type Site,
  sitesOf,
  zeros,
} from '@graftjs/core'
import { exp, expandDims, mul } from '@graftjs/tensor'
import { GraftError } from '@graftjs/tensor/error'

export interface AttentionTemperatureOptions {
  /** Query heads of the model: an attention site does not tell how many it has, so the caller does. */
  readonly heads: number
}

/** A learned attention temperature: the queries of head h are multiplied by exp(tau_h), at each attention. */
export const attentionTemperature = ({ heads }: AttentionTemperatureOptions): Method => ({
  name: 'attention-temperature',
  config: { heads },
  attach: (model, params) =>
    sitesOf(model, 'attention').map((site) => {
      if (site.outDim % heads !== 0) throw badHeads(site, heads, `a divisor of ${site.outDim}`)
      return temperature(site, params.add(`${site.path}.temperature`, [heads], zeros))
    }),
})

/** Queries times exp(g · tau): exactly the base where the gain g, which broadcasts against [B, T, 1], is 0. */
const temperature = (site: Site<'attention'>, tau: Param, gain?: Gain): PatchAt<'attention'> =>
  around(
    site,
    (h, next, run) => {
      if (h.q.shape[2] !== tau.shape[0]) throw badHeads(site, tau.shape[0]!, `${h.q.shape[2]}, as the queries have`)
      const t = expandDims(tau(), 1) // [H, 1]
      const scale = exp(gain ? mul(expandDims(gain(h.x, run), -1), t) : t) // [H, 1] or [B, T, H, 1]
      return next({ ...h, q: mul(h.q, scale) })
    },
    { scaled: (more) => temperature(site, tau, product(gain, more)) },
  )

const badHeads = (site: Site, given: number, expected: string): GraftError =>
  new GraftError({ code: 'bad-option', culprit: `heads at ${site.path}`, given: String(given), expected })
