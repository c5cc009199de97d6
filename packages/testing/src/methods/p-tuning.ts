import { gaussian, type Method, virtualTokens } from '@graftjs/core'
import { expandDims, linear, relu } from '@graftjs/tensor'

/** P-tuning (Liu et al. 2021), its MLP encoder: the prompt is computed from embeddings, and the file holds the result. */
export const pTuning = ({ tokens = 3, hidden = 7 }: { tokens?: number; hidden?: number } = {}): Method => ({
  name: 'p-tuning',
  config: { tokens, hidden },
  attach: (model, params) => {
    const d = model.backbone.inDim
    const embedding = params.add('prompt_encoder.embedding.weight', [tokens, hidden], gaussian(1))
    const first = params.add('prompt_encoder.mlp_head.0.weight', [hidden, hidden], gaussian(0.4))
    const last = params.add('prompt_encoder.mlp_head.2.weight', [d, hidden], gaussian(0.4))
    const made = params.derive('prompt_embeddings', [tokens, d], () =>
      linear(relu(linear(embedding(), first())), last()),
    )
    return [virtualTokens(model, tokens, () => expandDims(made(), 0))]
  },
})
