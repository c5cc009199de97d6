import { GraftError } from '@graftjs/tensor/error'
import type { Family } from '../family.ts'
import { readConfig } from '../read-config.ts'
import { type Activation, activationNames } from './activations.ts'
import { type T5Config, t5 } from './t5.ts'

/** T5, T5 1.1 and Flan-T5. The dropout rates of config.json are those of its pretraining: they do not act here. */
export const t5Family: Family<T5Config> = {
  types: ['t5'],
  classPrefix: 'T5',
  tasks: ['seq2seq'],
  fromJson: (json, file) => {
    const read = readConfig(json, file)
    read.only('is_encoder_decoder', true)
    const layers = read.number('num_layers', 6)
    const id = (key: string, absent: number): number => (typeof json[key] === 'number' ? json[key] : absent)
    return {
      vocabSize: read.number('vocab_size', 32128),
      maxPositionEmbeddings: Number.POSITIVE_INFINITY,
      dModel: read.number('d_model', 512),
      dKv: read.number('d_kv', 64),
      dFf: read.number('d_ff', 2048),
      numHeads: read.number('num_heads', 8),
      numLayers: layers,
      numDecoderLayers: read.optional('num_decoder_layers') ?? layers,
      relativeAttentionNumBuckets: read.number('relative_attention_num_buckets', 32),
      relativeAttentionMaxDistance: read.number('relative_attention_max_distance', 128),
      layerNormEpsilon: read.number('layer_norm_epsilon', 1e-6),
      ...feedForwardOf(json.feed_forward_proj ?? 'relu', file),
      // T5 1.1 and Flan-T5 are told by their untied embeddings; transformers 5 writes it out and ties all the same.
      scaleOutputs: read.flag('tie_word_embeddings', true) && read.flag('scale_decoder_outputs', true),
      decoderStartTokenId: id('decoder_start_token_id', 0),
      padTokenId: id('pad_token_id', 0),
    }
  },
  build: t5,
  stored: {
    // Copies of the one embedding, which some files have.
    nameOf: (tensor) => tensor.replace(/^(en|de)coder\.embed_tokens\.weight$/, 'shared.weight'),
  },
}

/** `relu`, or with a gate `gated-gelu`, whose GELU is that of the tanh. */
const feedForwardOf = (given: unknown, file: string): Pick<T5Config, 'activation' | 'isGated'> => {
  const isGated = String(given).startsWith('gated-')
  const name = isGated ? String(given).slice('gated-'.length) : String(given)
  const activation = given === 'gated-gelu' ? 'gelu_new' : name
  if (activationNames.includes(activation as Activation)) return { activation: activation as Activation, isGated }
  throw new GraftError({
    code: 'unsupported-option',
    culprit: `${file}: feed_forward_proj`,
    given: JSON.stringify(given),
    expected: `${activationNames.join(', ')}, or one of them behind "gated-"`,
  })
}
