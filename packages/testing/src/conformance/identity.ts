import { largestDifference, logitsOf } from './measure.ts'
import { type Check, fail, requireAtMost, withTuned } from './subject.ts'

/** Freshly attached, the method gives what the base gives where it promises to, and something else where it does not. */
export const identity: Check = (subject) =>
  withTuned(
    subject,
    async (tuned, model) => {
      const { batch } = subject.bed
      const difference = largestDifference(await logitsOf(tuned, batch), await logitsOf(model, batch))
      if (subject.promises.identityAtStart) requireAtMost(subject, 'distance from the base at start', difference, 2e-6)
      else if (difference === 0) fail(subject, 'at start', 'the base model to the bit', 'identityAtStart promised')
      return undefined
    },
    { moved: false },
  )
