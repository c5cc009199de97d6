import { GraftError } from '@graftjs/tensor/error'

/** Refuses what is no whole number of at least `least`. */
export const checkWhole = (culprit: string, value: number, least: number): void => {
  if (Number.isSafeInteger(value) && value >= least) return
  throw new GraftError({
    code: 'bad-option',
    culprit,
    given: String(value),
    expected: `a whole number ≥ ${least}`,
  })
}
