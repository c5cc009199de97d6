import { around, gaussian, type Method, type Stream, sitesOf, zeros } from '@graftjs/core'
import { add, linear, tanh } from '@graftjs/tensor'
import { decoderEntries, encoderSites } from './decoder-entries.ts'

/**
 * Ladder side tuning (Sung et al. 2022): a thin network beside the frozen one, fed by a rung from every layer. It travels
 * in the leaf `side`; nothing of it enters `hidden` before the end, so no backbone layer is ever walked back through.
 */
export const ladder = ({ dim = 3 }: { dim?: number } = {}): Method => ({
  name: 'ladder',
  config: { dim },
  attach: (model, params) => {
    const d = model.backbone.outDim
    const first = params.add('ladder.down.weight', [dim, d], gaussian(0.4))
    const up = params.add('ladder.up.weight', [d, dim], zeros)
    const begin = (s: Stream): Stream => ({ ...s, side: tanh(linear(s.hidden, first())) }) // [B, T, dim]
    const ends = around(model.backbone, (s, next) => {
      const out = next(model.embed.once ? s : begin(s))
      return { ...out, hidden: add(out.hidden, linear(out.side!, up())) }
    })
    // An encoder's result reaches the decoder's rungs through the frozen layers: it needs no ladder of its own.
    const layers = sitesOf(model, 'layer').filter((site) => site.layer >= 0 && !encoderSites(model).has(site))
    const rungs = layers.map((site) => {
      const rung = params.add(`${site.path}.rung.weight`, [dim, d], gaussian(0.4))
      const step = params.add(`${site.path}.step.weight`, [dim, dim], gaussian(0.5))
      return around(site, (s, next) => {
        const out = next(s)
        return { ...out, side: tanh(add(linear(s.side!, step()), linear(out.hidden, rung()))) }
      })
    })
    return [ends, ...decoderEntries(model).map((site) => around(site, (s, next) => begin(next(s)))), ...rungs]
  },
})
