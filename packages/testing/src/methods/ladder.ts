import { around, gaussian, type Method, sitesOf, zeros } from '@graftjs/core'
import { add, linear, tanh } from '@graftjs/tensor'

/**
 * Ladder side tuning (Sung et al. 2022): a thin network beside the frozen one, fed by a rung from every layer. It travels
 * in the leaf `side`; nothing of it enters `hidden` before the end, so no backbone layer is ever walked back through.
 */
export const ladder = ({ dim = 3 }: { dim?: number } = {}): Method => ({
  name: 'ladder',
  config: { dim },
  attach: (model, params) => {
    const rungs = sitesOf(model, 'layer').map((site) => {
      const rung = params.add(`${site.path}.rung.weight`, [dim, site.outDim], gaussian(0.4))
      const step = params.add(`${site.path}.step.weight`, [dim, dim], gaussian(0.5))
      return around(site, (s, next) => {
        const out = next(s)
        const fed = linear(out.hidden, rung()) // [B, T, dim]
        // Where tokens begin (the embedding, a decoder) there is no side to carry on.
        const carried = site.layer >= 0 && s.side
        return { ...out, side: tanh(carried ? add(linear(carried, step()), fed) : fed) }
      })
    })
    const up = params.add('ladder.up.weight', [model.backbone.outDim, dim], zeros)
    const end = around(model.backbone, (s, next) => {
      const out = next(s)
      return { ...out, hidden: add(out.hidden, linear(out.side!, up())) }
    })
    return [end, ...rungs]
  },
})
