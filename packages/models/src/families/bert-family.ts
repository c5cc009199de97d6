import type { JsonObject } from '@graftjs/files'
import { GraftError } from '@graftjs/tensor/error'
import type { Family } from '../family.ts'
import { freshWeight } from '../heads/fresh-weights.ts'
import { type HeadConfig, readHead } from '../heads/head-config.ts'
import { readConfig } from '../read-config.ts'
import { type Activation, activationNames } from './activations.ts'
import { type BertConfig, bert, bodyPrefix } from './bert.ts'
import { bertTasks } from './bert-heads.ts'

/** The keys that both have. The dropout rates of config.json are those of its pretraining: they do not act here. */
const readBert = (json: JsonObject, file: string, type: BertConfig['type'], head: HeadConfig): BertConfig => {
  const read = readConfig(json, file)
  read.only('position_embedding_type', 'absolute')
  read.only('is_decoder', false)
  read.only('add_cross_attention', false)
  read.only('hidden_act', ...activationNames)
  const [hidden, heads] = [read.number('hidden_size', 768), read.number('num_attention_heads', 12)]
  if (!Number.isInteger(hidden / heads)) throw uneven(`${file}: num_attention_heads`, heads, hidden)
  const rows = read.number('max_position_embeddings', 512)
  const offset = type === 'roberta' ? 1 + (typeof json.pad_token_id === 'number' ? json.pad_token_id : 1) : 0
  return {
    type,
    vocabSize: read.number('vocab_size', type === 'roberta' ? 50265 : 30522),
    hiddenSize: hidden,
    intermediateSize: read.number('intermediate_size', 3072),
    numHiddenLayers: read.number('num_hidden_layers', 12),
    numAttentionHeads: heads,
    maxPositionEmbeddings: rows - offset,
    positionOffset: offset,
    typeVocabSize: read.number('type_vocab_size', 2),
    layerNormEps: read.number('layer_norm_eps', 1e-12),
    activation: (json.hidden_act ?? 'gelu') as Activation,
    tieWordEmbeddings: head.task === 'masked-lm' && read.flag('tie_word_embeddings', true),
    head,
  }
}

const uneven = (culprit: string, heads: number, hidden: number): GraftError =>
  new GraftError({ code: 'bad-file', culprit, given: String(heads), expected: `a divisor of hidden_size, ${hidden}` })

const besideMatrix = /^(cls\.predictions|lm_head)\.bias$/

const isBody = (name: string): boolean => /^(embeddings|encoder|pooler)\./.test(name)

const familyOf = (type: BertConfig['type']): Family<BertConfig> => ({
  types: [type],
  classPrefix: type === 'bert' ? 'Bert' : 'Roberta',
  tasks: bertTasks,
  fromJson: (json, file, head) => readBert(json, file, type, head ?? readHead(json, file, bertTasks)),
  build: bert,
  stored: {
    nameOf: (tensor, config) => {
      const name = tensor
        // Files of 2018 and 2019.
        .replace(/LayerNorm\.gamma$/, 'LayerNorm.weight')
        .replace(/LayerNorm\.beta$/, 'LayerNorm.bias')
        // transformers holds the bias beside the tied matrix.
        .replace(besideMatrix, '$1.decoder.bias')
      const inBody = name.replace(new RegExp(`^${type}\\.`), '')
      return isBody(inBody) ? bodyPrefix(config) + inBody : name
    },
    savedAs: (tensor, config) => {
      const inBody = tensor.replace(new RegExp(`^${type}\\.`), '')
      if (config.head.isNew && isBody(inBody)) return bodyPrefix(config) + inBody
      // Where matrix and embedding have parted, transformers wants the bias in the matrix's own place.
      const isApart = config.head.task === 'masked-lm' && !config.tieWordEmbeddings
      return isApart ? tensor.replace(besideMatrix, '$1.decoder.bias') : tensor
    },
  },
  fresh: (config, name, shape) => {
    const { head } = config
    const isHead = !name.startsWith(`${type}.`) || name.startsWith(`${type}.pooler.`)
    const isTask = head.task !== 'feature-extraction'
    return head.isNew && isTask && isHead ? freshWeight(head, name, shape) : undefined
  },
})

/** BERT, and MiniLM, whose config is BERT's. */
export const bertFamily = familyOf('bert')
export const robertaFamily = familyOf('roberta')
