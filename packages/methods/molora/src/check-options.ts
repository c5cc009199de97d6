import { GraftError } from '@graftjs/tensor/error'

const bad = (culprit: string, given: unknown, expected: string): GraftError =>
  new GraftError({ code: 'bad-option', culprit, given: String(given), expected })

export const checkExperts = (owner: string, experts: number, topK: number | null): void => {
  if (!Number.isInteger(experts) || experts < 1) throw bad(`${owner}.experts`, experts, 'a whole number ≥ 1')
  if (topK !== null && !(Number.isInteger(topK) && topK >= 1 && topK <= experts))
    throw bad(`${owner}.topK`, topK, `a whole number of 1 … ${experts}, the experts, or null for all`)
}

export const checkScale = (owner: string, r: number, loraAlpha: number): void => {
  if (!Number.isInteger(r) || r < 1) throw bad(`${owner}.r`, r, 'a whole number ≥ 1')
  if (!Number.isFinite(loraAlpha)) throw bad(`${owner}.loraAlpha`, loraAlpha, 'a finite number')
}
