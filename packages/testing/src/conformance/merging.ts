import { merge, toLora } from '@graftjs/core'
import { largestDifference, logitsOf } from './measure.ts'
import { type Check, fail, requireAtMost, requireRefusal, withTuned } from './subject.ts'

/** The merged model gives what the tuned one gives; or merging is refused, naming the place that cannot fold. */
export const merging: Check = (subject) =>
  withTuned(subject, async (tuned, model) => {
    const { bed, promises, method } = subject
    const { folds = false, foldsToLora = folds } = promises
    const base = await logitsOf(model, bed.batch)
    const stuck = [...tuned.patches.values()].flat().find((patch) => !patch.fold)
    if (folds && stuck) fail(subject, `the patch at ${stuck.site.path}`, 'no fold', 'one, as folds is promised')
    if (!folds && !stuck) fail(subject, 'merging', 'a fold at every patch', 'folds promised')
    if (folds) {
      const merged = merge(tuned)
      const logits = await logitsOf(merged, bed.batch)
      merged.dispose()
      requireAtMost(subject, 'merged against tuned', largestDifference(logits, await logitsOf(tuned, bed.batch)), 2e-5)
    } else {
      await requireRefusal(subject, 'merge', () => merge(tuned), 'not-mergeable', [stuck!.by!, stuck!.site.path])
    }
    if (foldsToLora) {
      const { error } = await toLora(tuned, { r: 12 })
      requireAtMost(subject, 'toLora, what is lost at full rank', Math.max(...error.values()), 1e-3)
    } else {
      const act = (): Promise<unknown> => toLora(tuned, { r: 2 })
      await requireRefusal(subject, 'toLora', act, folds ? 'not-lora' : 'not-mergeable', [])
    }
    if (largestDifference(await logitsOf(model, bed.batch), base) !== 0)
      fail(subject, `merging ${method.name}`, 'a changed base model', 'the base as it was')
    return undefined
  })
