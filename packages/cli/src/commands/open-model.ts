import type { Tuned } from '@graftjs/core'
import { type LoadedModel, loadAdapter, loadModel } from '@graftjs/models'
import { required, type Values } from '../command.ts'
import { kinds } from '../methods.ts'

/** What --model and --adapter name. */
export const openModel = async (values: Values): Promise<{ model: LoadedModel; tuned: Tuned | LoadedModel }> => {
  const model = await loadModel(required(values, 'model'))
  return { model, tuned: typeof values.adapter === 'string' ? await loadAdapter(model, values.adapter, kinds) : model }
}
