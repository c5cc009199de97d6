import type { Site } from '@graftjs/core'
import type { StoredWeight } from '@graftjs/kernels'
import { firstTokenHead, spanHead, tokenHead } from '../heads/classifier-heads.ts'
import { type Head, noHead } from '../heads/head.ts'
import type { Serves } from '../heads/head-config.ts'
import { maskedLmHead } from '../heads/masked-lm-head.ts'
import { layerNormSite, linearSite } from '../sites.ts'
import type { WeightSource } from '../weight-source.ts'
import { activations } from './activations.ts'
import type { BertConfig } from './bert.ts'

/** What BERT and RoBERTa serve. */
export const bertTasks: Serves = ['feature-extraction', 'masked-lm', 'seq-cls', 'token-cls', 'question-answering']

/** The head of the config's task, by the names that the files of `BertFor…` and `RobertaFor…` have. */
export const bertHead = (c: BertConfig, source: WeightSource, words: Site<'embedding'>): Head => {
  const { hiddenSize: d, type, head } = c
  const linear = (path: string, out: number): Site<'linear'> =>
    linearSite(path, -1, source.matrix(`${path}.weight`, [out, d]), source.vector(`${path}.bias`, out))
  switch (head.task) {
    case 'seq-cls':
      return type === 'bert'
        ? firstTokenHead(linear('bert.pooler.dense', d), linear('classifier', head.labels.length))
        : firstTokenHead(linear('classifier.dense', d), linear('classifier.out_proj', head.labels.length))
    case 'token-cls':
      return tokenHead(linear('classifier', head.labels.length))
    case 'question-answering':
      return spanHead(linear('qa_outputs', 2))
    case 'masked-lm':
      return maskedLm(c, source, words, linear)
    default:
      return noHead(d)
  }
}

const maskedLm = (
  c: BertConfig,
  source: WeightSource,
  words: Site<'embedding'>,
  linear: (path: string, out: number) => Site<'linear'>,
): Head => {
  const at = c.type === 'bert' ? 'cls.predictions' : 'lm_head'
  const transform = c.type === 'bert' ? `${at}.transform` : at
  const normPath = c.type === 'bert' ? `${transform}.LayerNorm` : `${at}.layer_norm`
  const { hiddenSize: d, vocabSize } = c
  const norm = layerNormSite(
    normPath,
    -1,
    source.vector(`${normPath}.weight`, d),
    source.vector(`${normPath}.bias`, d),
    c.layerNormEps,
  )
  const matrix = c.tieWordEmbeddings
    ? (words.weight as StoredWeight)
    : source.matrix(`${at}.decoder.weight`, [vocabSize, d])
  const decoder = linearSite(`${at}.decoder`, -1, matrix, source.vector(`${at}.decoder.bias`, vocabSize))
  // RoBERTa's has no choice of its own.
  const activation = c.type === 'bert' ? c.activation : 'gelu'
  return maskedLmHead({ dense: linear(`${transform}.dense`, d), norm, decoder }, activations[activation])
}
