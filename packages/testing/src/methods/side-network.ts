import { around, gaussian, type Method, type Stream, zeros } from '@graftjs/core'
import { add, linear, tanh } from '@graftjs/tensor'
import { decoderEntries } from './decoder-entries.ts'

/** Side tuning (Zhang et al. 2020): a small network on the embeddings, added to what the frozen model makes of them. */
export const sideNetwork = ({ dim = 4 }: { dim?: number } = {}): Method => ({
  name: 'side-network',
  config: { dim },
  attach: (model, params) => {
    const d = model.backbone.outDim
    const down = params.add('side.down.weight', [dim, d], gaussian(0.4))
    const up = params.add('side.up.weight', [d, dim], zeros)
    const begin = (s: Stream): Stream => ({ ...s, side: tanh(linear(s.hidden, down())) }) // [B, T, dim]
    return [
      around(model.backbone, (s, next) => {
        const out = next(model.embed.once ? s : begin(s))
        return { ...out, hidden: add(out.hidden, linear(out.side!, up())) }
      }),
      ...decoderEntries(model).map((site) => around(site, (s, next) => begin(next(s)))),
    ]
  },
})
