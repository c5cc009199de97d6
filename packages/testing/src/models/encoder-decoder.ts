import type { Model } from '@graftjs/core'
import { type T5Config, t5 } from '@graftjs/models'
import { randomSource } from '../random-source.ts'

/** Named as in T5's config.json. */
export interface EncoderDecoderConfig
  extends Omit<
    T5Config,
    | 'maxPositionEmbeddings'
    | 'activation'
    | 'scaleOutputs'
    | 'ownHead'
    | 'decoderStartTokenId'
    | 'padTokenId'
    | 'biases'
  > {
  /** lm_head is the transposed embedding, on a hidden state scaled by 1/√dModel. */
  readonly tieWordEmbeddings: boolean
  /** Linear sites with a bias, which T5's have not: wi and wo (the default), all but lm_head (true), or none. */
  readonly bias: boolean | 'feed-forward'
  /** T5's is `relu`; a smooth one serves finite differences. */
  readonly denseActFn: T5Config['activation']
}

export interface TinyEncoderDecoderOptions extends Partial<EncoderDecoderConfig> {
  /** Of the weights. Default 0. */
  readonly seed?: number
}

/** Sizes that are all different, so that a swapped one is seen. */
export const tinySizes: EncoderDecoderConfig = {
  vocabSize: 29,
  dModel: 12,
  dKv: 5,
  dFf: 14,
  numHeads: 3,
  numLayers: 2,
  numDecoderLayers: 2,
  relativeAttentionNumBuckets: 8,
  relativeAttentionMaxDistance: 16,
  layerNormEpsilon: 1e-6,
  isGated: false,
  tieWordEmbeddings: true,
  bias: 'feed-forward',
  denseActFn: 'relu',
}

/** The T5 of `models` with random weights and, unlike any T5, biases. */
export const tinyEncoderDecoder = ({ seed = 0, ...options }: TinyEncoderDecoderOptions = {}): Model => {
  const { tieWordEmbeddings, bias, denseActFn, ...sizes } = { ...tinySizes, ...options }
  const feedForward = bias === false ? [] : ['wi', 'wi_0', 'wi_1', 'wo']
  return t5(
    {
      ...sizes,
      maxPositionEmbeddings: Number.POSITIVE_INFINITY,
      activation: denseActFn,
      scaleOutputs: tieWordEmbeddings,
      ownHead: !tieWordEmbeddings,
      decoderStartTokenId: 0,
      padTokenId: 0,
      biases: bias === true ? [...feedForward, 'q', 'k', 'v', 'o'] : feedForward,
    },
    randomSource(seed),
  )
}
