import { gaussian, type Method, type Patch, plus, type Site } from '@graftjs/core'
import { linear, mul, softmax, stack, sum } from '@graftjs/tensor'
import { GraftError } from '@graftjs/tensor/error'

/**
 * AdapterFusion (Pfeiffer et al. 2021): frozen adapters, of which every token learns to take what it needs. It asks their
 * patches for `delta`, so any additive method at a sublayer will do.
 */
export const fusion = (methods: Readonly<Record<string, Method>>): Method => ({
  name: 'fusion',
  config: { fused: Object.keys(methods) },
  attach: (model, params) => {
    const parts = Object.entries(methods).map(([name, method]) =>
      method.attach(model, params.scope(`${name}.`, { frozen: true })).map((patch) => additive(name, patch)),
    )
    return parts[0]!.map((first, i) => {
      const { site } = first
      const d = site.outDim
      const matrix = (role: string) => params.add(`${site.path}.fusion.${role}.weight`, [d, d], gaussian(0.3))
      const [query, key, value] = [matrix('query'), matrix('key'), matrix('value')]
      return plus(site, (x, y, run) => {
        const deltas = stack(
          parts.map((list) => list[i]!.delta(x, y, run)),
          2,
        ) // [B, T, N, d]
        const q = linear(stack([y], 2), query()) // [B, T, 1, d]
        const scores = softmax(sum(mul(q, linear(deltas, key())), 3)) // [B, T, N]
        return sum(mul(stack([scores], 3), linear(deltas, value())), 2)
      })
    })
  },
})

type AdditivePatch = { site: Site<'sublayer'>; delta: NonNullable<Patch['delta']> }

const additive = (name: string, patch: Patch): AdditivePatch => {
  if (patch.site.kind === 'sublayer' && patch.delta) return { site: patch.site, delta: patch.delta }
  throw new GraftError({
    code: 'not-additive',
    culprit: name,
    message: `fusion: ${name} has a patch at ${patch.site.path} (${patch.site.kind}) that is not additive, so its part cannot be weighed`,
  })
}
