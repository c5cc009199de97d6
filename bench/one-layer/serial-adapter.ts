import { around, gaussian, type Method, sitesOf, zeros } from '@graftjs/core'
import { add, linear, silu } from '@graftjs/tensor'

/** A serial adapter with a residual (Houlsby et al. 2019) behind both sublayers: y + up(silu(down(y))). */
export const serialAdapter = (bottleneck: number): Method => ({
  name: 'serial-adapter',
  config: { bottleneck },
  attach: (model, params) =>
    sitesOf(model, 'sublayer').map((site) => {
      const part = (name: string, out: number, inner: number) => {
        const weight = params.add(`${site.path}.${name}.weight`, [out, inner], gaussian(0.02))
        const bias = params.add(`${site.path}.${name}.bias`, [out], zeros)
        return { weight, bias }
      }
      const down = part('adapter_down', bottleneck, site.outDim)
      const up = part('adapter_up', site.outDim, bottleneck)
      return around(site, (x, next) => {
        const y = next(x)
        const h = silu(add(linear(y, down.weight()), down.bias()))
        return add(y, add(linear(h, up.weight()), up.bias()))
      })
    }),
})
