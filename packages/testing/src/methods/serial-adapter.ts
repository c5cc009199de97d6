import { gaussian, type Method, plus, sitesOf, zeros } from '@graftjs/core'
import { add, linear, silu } from '@graftjs/tensor'

/** A serial bottleneck adapter behind every sublayer (Houlsby et al. 2019): y + U silu(D y + b). */
export const serialAdapter = ({ bottleneck = 3 }: { bottleneck?: number } = {}): Method => ({
  name: 'serial-adapter',
  config: { bottleneck },
  attach: (model, params) =>
    sitesOf(model, 'sublayer').map((site) => {
      const down = params.add(`${site.path}.adapter_down.weight`, [bottleneck, site.outDim], gaussian(0.3))
      const bias = params.add(`${site.path}.adapter_down.bias`, [bottleneck], zeros)
      const up = params.add(`${site.path}.adapter_up.weight`, [site.outDim, bottleneck], zeros)
      return plus(site, (_x, y) => linear(silu(add(linear(y, down()), bias())), up()))
    }),
})
