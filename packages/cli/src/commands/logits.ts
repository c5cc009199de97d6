import { forward } from '@graftjs/core'
import { scope } from '@graftjs/tensor'
import { GraftError } from '@graftjs/tensor/error'
import { adapterOption, type Command, jsonOption, modelOption, printJson, required } from '../command.ts'
import { openModel } from './open-model.ts'

export const logits: Command = {
  summary: 'the logits of given token ids',
  usage: [
    "--model M [--adapter DIR] --ids '[[1,2,3],[4,5,6]]' [--mask '[[1,1,1],[1,1,0]]'] [--decoder-ids '[[0,7],[0,8]]'] [--token-types '[[0,0,1],[0,1,1]]'] --json",
  ],
  about: `Prints {"shape":[B,T,V],"data":[…]}, flat, row after row. No tokenizer is needed. A classifier of rows has one place a
row; of a model without a head (BertModel) it is the last hidden state.`,
  options: {
    model: modelOption,
    adapter: adapterOption,
    ids: { value: 'ROWS', about: "rows of token ids of one length, such as '[[1,2,3],[4,5,6]]'" },
    mask: { value: 'ROWS', about: 'of the same shape: 1 for a token, 0 for padding' },
    'decoder-ids': {
      value: 'ROWS',
      about: "what the decoder of an encoder-decoder (T5) reads; the logits are its tokens'",
    },
    'token-types': { value: 'ROWS', about: 'of BERT: which of two texts each token belongs to, 0 or 1' },
    json: jsonOption,
  },
  run: async ({ values }) => {
    const ids = rows('ids', required(values, 'ids'))
    const given = (name: string): number[][] | undefined => {
      const text = values[name]
      return typeof text === 'string' ? rows(name, text) : undefined
    }
    const [mask, decoderIds, tokenTypes] = [given('mask'), given('decoder-ids'), given('token-types')]
    const { tuned, model } = await openModel(values)
    printJson(
      scope(() => {
        const batch = {
          ids,
          ...(mask && { mask }),
          ...(decoderIds && { decoderIds }),
          ...(tokenTypes && { tokenTypes }),
        }
        const made = forward(tuned, batch)
        const out = model.task === 'feature-extraction' ? made.hidden : made.logits()
        return { shape: out.shape, data: [...out.dataSync()] }
      }),
    )
  },
}

const rows = (name: string, text: string): number[][] => {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    value = undefined
  }
  const good =
    Array.isArray(value) &&
    value.length > 0 &&
    value.every((row) => Array.isArray(row) && row.every((id) => Number.isInteger(id)))
  if (good) return value as number[][]
  throw new GraftError({
    code: 'bad-option',
    culprit: `--${name}`,
    given: text,
    expected: "rows of whole numbers, such as '[[1,2,3],[4,5,6]]'",
  })
}
