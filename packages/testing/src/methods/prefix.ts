import { gaussian, type Method, sitesOf, virtualKeys } from '@graftjs/core'
import { linear, slice, type Tensor, tanh } from '@graftjs/tensor'

/**
 * Prefix tuning (Li & Liang 2021): keys and values in front of every attention's own, all from one MLP. `derive` runs the
 * MLP once a pass, whatever the number of layers, and puts its result in the file.
 */
export const prefix = ({ tokens = 3, mid = 5 }: { tokens?: number; mid?: number } = {}): Method => ({
  name: 'prefix',
  config: { tokens, mid },
  attach: (model, params) => {
    const sites = sitesOf(model, 'attention')
    const width = sites.reduce((sum, site) => sum + 2 * site.inDim, 0)
    const embedding = params.add('transform.embedding.weight', [tokens, mid], gaussian(1))
    const first = params.add('transform.0.weight', [mid, mid], gaussian(0.5))
    const second = params.add('transform.2.weight', [width, mid], gaussian(0.3))
    const whole = params.derive('prompt_embeddings', [tokens, width], () =>
      linear(tanh(linear(embedding(), first())), second()),
    )
    let at = 0
    return sites.map((site) => {
      const from = at
      at += 2 * site.inDim
      const part = (offset: number): Tensor => slice(whole(), [0, from + offset], [tokens, site.inDim])
      return virtualKeys(site, () => ({ k: part(0), v: part(site.inDim) }))
    })
  },
})
