import type { Tuned } from '@graftjs/core'
import { type LoadedModel, loadAdapter, loadModel } from '@graftjs/models'
import { GraftError } from '@graftjs/tensor/error'
import type { Tokenizer } from '@graftjs/text'
import { required, type Values } from '../command.ts'
import { kinds } from '../methods.ts'

/** What --model and --adapter name. */
export interface Opened {
  readonly model: LoadedModel
  readonly tuned: Tuned | LoadedModel
}

export const openModel = async (values: Values): Promise<Opened> => {
  const model = await loadModel(required(values, 'model'))
  return { model, tuned: typeof values.adapter === 'string' ? await loadAdapter(model, values.adapter, kinds) : model }
}

export const tokenizerOf = ({ tokenizer, name }: LoadedModel): Tokenizer => {
  if (tokenizer) return tokenizer
  throw new GraftError({
    code: 'no-tokenizer',
    culprit: name,
    given: 'a model without tokenizer.json',
    expected: 'one with it; `graft logits` works without',
  })
}
