import { all, type Gain, gated, gaussian, type Method, type Model, type Params, type Site } from '@graftjs/core'
import { cast, div, linear, mul, notEqual, reshape, sigmoid, sum } from '@graftjs/tensor'
import { lora } from './lora.ts'
import { prefix } from './prefix.ts'
import { serialAdapter } from './serial-adapter.ts'

/**
 * UniPELT's shape (Mao et al. 2022): LoRA, adapters and prefixes, each behind a learned gate. LoRA's and the adapters'
 * gates are of every token; a prefix has no tokens, so its gate is of the row, and with it the whole text is needed.
 */
export const hybrid = (): Method => ({
  ...all(
    gated(prefix({ tokens: 2 }), rowGate, { refuses: ['cache', 'packing'] }),
    gated(serialAdapter(), tokenGate),
    gated(lora(), tokenGate),
  ),
  name: 'hybrid',
})

const tokenGate = (site: Site, params: Params): Gain => {
  const w = params.add(`${site.path}.gate.weight`, [1, site.inDim], gaussian(0.5))
  return (x) => sigmoid(linear(x, w())) // [B, T, 1]
}

/** An attention's gate reads what its sublayer reads, which has the model's width. */
const rowGate = (site: Site, params: Params, model: Model): Gain => {
  const w = params.add(`${site.path}.gate.weight`, [1, model.backbone.inDim], gaussian(0.5))
  return (x, run) => {
    const real = reshape(cast(notEqual(run.frame.segments, -2), 'float32'), [...run.frame.segments.shape, 1])
    const each = mul(sigmoid(linear(x, w())), real) // [B, T, 1]
    return div(sum(each, 1, true), sum(real, 1, true)) // [B, 1, 1]
  }
}
