import { gaussian, type Method, virtualTokens } from '@graftjs/core'
import { expandDims } from '@graftjs/tensor'

/** Prompt tuning (Lester et al. 2021): trained embeddings in front of the text. */
export const prompt = ({ tokens = 3 }: { tokens?: number } = {}): Method => ({
  name: 'prompt',
  config: { tokens },
  attach: (model, params) => {
    const embeddings = params.add('prompt_embeddings', [tokens, model.backbone.inDim], gaussian(0.5))
    return [virtualTokens(model, tokens, () => expandDims(embeddings(), 0))]
  },
})
