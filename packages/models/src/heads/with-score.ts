import type { Family, ModelConfig } from '../family.ts'
import { freshWeight } from './fresh-weights.ts'

/** A family of decoders that classifies rows too, as `<classPrefix>ForSequenceClassification` of transformers does. */
export const withScore = <C extends ModelConfig>(classPrefix: string, family: Family<C>): Family<C> => ({
  ...family,
  classPrefix,
  tasks: ['causal-lm', 'seq-cls'],
  fromJson: (json, file, head) => {
    const config = family.fromJson(json, file, head)
    return head?.task === 'seq-cls' ? { ...config, tieWordEmbeddings: false, head } : config
  },
  fresh: ({ head }, name, shape) =>
    head?.isNew && name === 'score.weight' ? freshWeight(head, name, shape) : undefined,
})
