import type { Model } from '@graftjs/core'
import { type BertConfig, bert, type Task } from '@graftjs/models'
import { randomSource } from '../random-source.ts'

export interface TinyEncoderOptions extends Partial<Omit<BertConfig, 'head'>> {
  /** Default `masked-lm`. */
  readonly task?: Task
  /** Classes of a classifier. Default 5. */
  readonly classes?: number
  /** Of the weights. Default 0. */
  readonly seed?: number
}

/** The BERT of `models` with random weights and small shapes of which no two agree. */
export const tinyEncoder = ({ task = 'masked-lm', classes = 5, seed = 0, ...config }: TinyEncoderOptions = {}): Model =>
  bert(
    {
      type: 'bert',
      vocabSize: 31,
      hiddenSize: 12,
      intermediateSize: 20,
      numHiddenLayers: 2,
      numAttentionHeads: 3,
      maxPositionEmbeddings: 64,
      positionOffset: 0,
      typeVocabSize: 2,
      layerNormEps: 1e-5,
      activation: 'gelu',
      tieWordEmbeddings: task === 'masked-lm',
      ...config,
      head: {
        task,
        labels: Array.from({ length: classes }, (_, i) => `LABEL_${i}`),
        isNew: false,
        seed: 0,
        range: 0.02,
      },
    },
    randomSource(seed),
  )
