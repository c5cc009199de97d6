import { random } from '@graftjs/tensor'
import type { Sample } from './encode-examples.ts'

/** Log-normal lengths of 1 … most, as texts have them. */
export const lengthsOf = (count: number, most: number, seed: number): number[] => {
  const draw = random(seed, 'lengths')
  return Array.from({ length: count }, () =>
    Math.min(most, Math.max(1, Math.round(Math.exp(Math.log(most / 6) + 0.8 * draw.normal())))),
  )
}

/** Samples of these lengths in which no token occurs twice, about a third of each learnt. */
export const samplesOf = (lengths: readonly number[]): Sample[] => {
  let next = 1
  return lengths.map((length, source) => {
    const ids = Array.from({ length }, () => next++)
    return { ids, labels: ids.map((id, t) => (t >= (2 * length) / 3 - 1 ? id : -100)), source }
  })
}
