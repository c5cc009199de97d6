import { forward } from '@graftjs/core'
import { scope } from '@graftjs/tensor'
import { GraftError } from '@graftjs/tensor/error'
import { adapterOption, type Command, jsonOption, modelOption, printJson, required } from '../command.ts'
import { openModel } from './open-model.ts'

export const logits: Command = {
  summary: 'the logits of given token ids',
  usage: ["--model M [--adapter DIR] --ids '[[1,2,3],[4,5,6]]' [--mask '[[1,1,1],[1,1,0]]'] --json"],
  about: 'Prints {"shape":[B,T,V],"data":[…]}, flat, row after row. No tokenizer is needed.',
  options: {
    model: modelOption,
    adapter: adapterOption,
    ids: { value: 'ROWS', about: "rows of token ids of one length, such as '[[1,2,3],[4,5,6]]'" },
    mask: { value: 'ROWS', about: 'of the same shape: 1 for a token, 0 for padding' },
    json: jsonOption,
  },
  run: async ({ values }) => {
    const ids = rows('ids', required(values, 'ids'))
    const mask = typeof values.mask === 'string' ? rows('mask', values.mask) : undefined
    const { tuned } = await openModel(values)
    printJson(
      scope(() => {
        const out = forward(tuned, { ids, ...(mask && { mask }) }).logits()
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
