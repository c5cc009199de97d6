import { around, gaussian, type Method, sitesOf, zeros } from '@graftjs/core'
import { add, linear, tanh } from '@graftjs/tensor'

/** Side tuning (Zhang et al. 2020): a small network on the embeddings, added to what the frozen model makes of them. */
export const sideNetwork = ({ dim = 4 }: { dim?: number } = {}): Method => ({
  name: 'side-network',
  config: { dim },
  attach: (model, params) => {
    const d = model.backbone.outDim
    const down = params.add('side.down.weight', [dim, d], gaussian(0.4))
    const up = params.add('side.up.weight', [d, dim], zeros)
    const entries = sitesOf(model, 'layer').filter((site) => site.layer < 0) // where tokens become embeddings
    return [
      around(model.backbone, (s, next) => {
        const out = next(s)
        return { ...out, hidden: add(out.hidden, linear(out.side!, up())) }
      }),
      ...entries.map((site) =>
        around(site, (s, next) => {
          const out = next(s)
          return { ...out, side: tanh(linear(out.hidden, down())) }
        }),
      ),
    ]
  },
})
