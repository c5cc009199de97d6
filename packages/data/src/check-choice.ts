import { GraftError } from '@graftjs/tensor/error'

/** Refuses what is none of `choices`. */
export const checkChoice = (culprit: string, value: string, choices: readonly string[]): void => {
  if (choices.includes(value)) return
  throw new GraftError({ code: 'bad-option', culprit, given: String(value), expected: `one of ${choices.join(', ')}` })
}
