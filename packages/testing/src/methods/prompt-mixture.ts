import { gaussian, type Method, type Stream, virtualTokens } from '@graftjs/core'
import { cast, div, equal, linear, matMul, mean, mul, reshape, softmax, sub, sum, type Tensor } from '@graftjs/tensor'

/** ATTEMPT (Asai et al. 2022): every row mixes its own prompt from a few, by attention from the mean of its text. */
export const promptMixture = ({ prompts = 3, tokens = 2 }: { prompts?: number; tokens?: number } = {}): Method => ({
  name: 'prompt-mixture',
  config: { prompts, tokens },
  attach: (model, params) => {
    const d = model.backbone.inDim
    const sources = params.add('sources', [prompts, tokens, d], gaussian(0.5))
    const query = params.add('query.weight', [d, d], gaussian(0.4))
    const make = (s: Stream): Tensor => {
      const keys = mean(sources(), 1) // [N, d]
      const weights = softmax(linear(linear(textMean(s), query()), keys)) // [B, N]
      return reshape(matMul(weights, reshape(sources(), [prompts, tokens * d])), [-1, tokens, d])
    }
    // The mean is over the whole row. Where an encoder reads it, that is at hand in the first call.
    return [virtualTokens(model, tokens, make, { refuses: model.causal ? ['cache', 'packing'] : ['packing'] })]
  },
})

/** The mean of a row's tokens, padding left out. [B, d] */
const textMean = ({ hidden, frame }: Stream): Tensor => {
  const real = reshape(cast(sub(1, cast(equal(frame.segments, -2), 'int32')), 'float32'), [...frame.segments.shape, 1])
  return div(sum(mul(hidden, real), 1), sum(real, 1))
}
