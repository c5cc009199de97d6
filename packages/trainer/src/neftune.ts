import { type Model, type Patch, plus, type Run, sitesOf } from '@graftjs/core'
import { cast, div, equal, expandDims, mul, random, sqrt, sum, type Tensor, tensor } from '@graftjs/tensor'

/**
 * NEFTune (Jain et al. 2023): while training, the embedding of each token gets noise U(-1, 1) · alpha / √(L d). d is the model's
 * width, L the length of the token's own document: padding and what else a packed row holds do not count (TRL counts them).
 */
export const neftune = (model: Model, alpha: number): Patch[] => {
  // The first table is that of the words; others hold positions.
  const [words] = sitesOf(model, 'embedding')
  if (!words) return []
  const noise = (_ids: Tensor, y: Tensor, run: Run): Tensor => {
    const draw = random(run.call.seed ?? 0, 'neftune').fill(new Float32Array(y.size), 'uniform')
    const size = sqrt(mul(lengthsOf(run.frame.segments), words.outDim))
    return mul(
      tensor(
        draw.map((u) => alpha * (2 * u - 1)),
        y.shape,
      ),
      div(1, expandDims(size, -1)),
    )
  }
  return [plus(words, noise, { by: 'NEFTune' })]
}

/** int32 [B, T] -> how many tokens of its row have the segment of each. */
const lengthsOf = (segments: Tensor): Tensor =>
  sum(cast(equal(expandDims(segments, 1), expandDims(segments, 2)), 'float32'), -1)
