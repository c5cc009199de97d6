import { GraftError } from '@graftjs/tensor/error'

/** A row to learn: the completion, given the prompt. */
export interface PromptCompletion {
  readonly prompt: string
  readonly completion: string
}

/** `value` if it is such a row; other columns do no harm. `culprit` names where it stands. */
export const promptCompletion = (value: unknown, culprit: string): PromptCompletion => {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw fault(culprit, JSON.stringify(value), 'an object with prompt and completion')
  const { prompt, completion } = value as Partial<Record<string, unknown>>
  if (typeof prompt !== 'string') throw fault(`${culprit}: prompt`, typeof prompt, 'a text')
  if (typeof completion !== 'string') throw fault(`${culprit}: completion`, typeof completion, 'a text')
  return { prompt, completion }
}

const fault = (culprit: string, given: string, expected: string): GraftError =>
  new GraftError({ code: 'bad-row', culprit, given, expected })
