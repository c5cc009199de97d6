import { GraftError } from '@graftjs/tensor/error'
import { IGNORED, type Sample } from './encode-examples.ts'
import { piece } from './wrap.ts'

export type Overlong = 'error' | 'keep-start' | 'keep-end' | 'split'

/** A sample as pieces of at most `maxLength` tokens; `culprit` is what an error calls it. */
export const cutOverlong = (sample: Sample, maxLength: number, overlong: Overlong, culprit: string): Sample[] => {
  const { length } = sample.ids
  if (length <= maxLength) return [sample]
  if (overlong === 'split')
    return Array.from({ length: Math.ceil(length / maxLength) }, (_, i) =>
      piece(sample, i * maxLength, Math.min((i + 1) * maxLength, length)),
    )
  if (overlong === 'error')
    throw new GraftError({
      code: 'too-long',
      culprit,
      given: `${length} tokens`,
      expected: `at most ${maxLength}; shorten it, or set overlong to keep-start, keep-end or split`,
    })
  const kept = overlong === 'keep-start' ? piece(sample, 0, maxLength) : piece(sample, length - maxLength, length)
  if (targetsOf(kept) > 0) return [kept]
  throw new GraftError({
    code: 'nothing-to-learn',
    culprit,
    given: `no token to learn in the ${maxLength} that are kept`,
    expected: 'at least one',
  })
}

/** The first token of a document is told from nothing, so it never counts. */
export const targetsOf = ({ labels }: Pick<Sample, 'labels'>): number =>
  labels.reduce((count, label, t) => count + (t > 0 && label !== IGNORED ? 1 : 0), 0)
