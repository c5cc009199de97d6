import type { SampleOptions } from '@graftjs/models'
import { GraftError } from '@graftjs/tensor/error'
import { numberOf, type Options, type Values, wholeOf } from './command.ts'

/** How `generate` and `chat` take their tokens. */
export const samplingOptions: Options = {
  'max-new-tokens': { value: 'N', about: 'ends after so many tokens' },
  temperature: { value: 'X', about: '0 takes the likeliest token each time; above it, tokens are drawn' },
  'top-k': { value: 'N', about: 'draws among the N likeliest tokens' },
  'top-p': { value: 'X', about: 'draws among the fewest likeliest tokens that come to the probability X' },
  'repetition-penalty': { value: 'X', about: 'above 1 holds back tokens that are in the text already' },
  seed: { value: 'N', about: 'of the draws' },
}

export interface Sampling extends SampleOptions {
  readonly maxNewTokens: number
  readonly seed: number
}

export const samplingOf = (values: Values, absent: { maxNewTokens: number; temperature: number }): Sampling => ({
  maxNewTokens: wholeOf(values, 'max-new-tokens', absent.maxNewTokens, 1),
  temperature: numberOf(values, 'temperature', absent.temperature),
  seed: wholeOf(values, 'seed', 0),
  ...(values['top-k'] !== undefined && { topK: wholeOf(values, 'top-k', 1, 1) }),
  ...(values['top-p'] !== undefined && { topP: portionOf(values) }),
  ...(values['repetition-penalty'] !== undefined && { repetitionPenalty: penaltyOf(values) }),
})

const portionOf = (values: Values): number => {
  const p = numberOf(values, 'top-p', 1)
  if (p > 0 && p <= 1) return p
  throw bad('--top-p', p, 'a number above 0, at most 1')
}

const penaltyOf = (values: Values): number => {
  const penalty = numberOf(values, 'repetition-penalty', 1)
  if (penalty > 0) return penalty
  throw bad('--repetition-penalty', penalty, 'a number above 0')
}

const bad = (culprit: string, given: number, expected: string): GraftError =>
  new GraftError({ code: 'bad-option', culprit, given: String(given), expected })
