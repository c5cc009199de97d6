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
    // An encoder's result reaches the decoder's rungs through the frozen layers: it needs no ladder of its own.
    const encoder = new Set([model.embed, ...model.stages].filter((stage) => stage.once).map((stage) => stage.site))
    const rungs = sitesOf(model, 'layer')
      .filter((site) => !encoder.has(site))
      .map((site) => {
        const rung = params.add(`${site.path}.rung.weight`, [dim, site.outDim], gaussian(0.4))
        if (site.layer < 0)
          // where tokens become embeddings, the side begins
          return around(site, (s, next) => {
            const out = next(s)
            return { ...out, side: tanh(linear(out.hidden, rung())) } // [B, T, dim]
          })
        const step = params.add(`${site.path}.step.weight`, [dim, dim], gaussian(0.5))
        return around(site, (s, next) => {
          const out = next(s)
          return { ...out, side: tanh(add(linear(s.side!, step()), linear(out.hidden, rung()))) }
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
