import { GraftError } from '@graftjs/tensor/error'
import { checkOptions } from './check-option.ts'

/** The factor on the learning rate at `step`, from 0, of `steps`. */
export type Schedule = (step: number, steps: number) => number

/** The rate rises from 0 in a straight line first. */
export interface Warmup {
  readonly warmupSteps?: number
  /** Of all steps, rounded up. */
  readonly warmupRatio?: number
}

/** `get_constant_schedule_with_warmup` of transformers. */
export const constant = (warmup: Warmup = {}): Schedule => warmed(warmup, () => 1)

/** `get_linear_schedule_with_warmup` of transformers: to 0 in a straight line. */
export const linear = (warmup: Warmup = {}): Schedule =>
  warmed(warmup, (step, steps, rise) => (steps - step) / Math.max(1, steps - rise))

/** `get_cosine_schedule_with_warmup` of transformers: to 0 in `cycles` waves, half a one unless told otherwise. */
export const cosine = ({ cycles = 0.5, ...warmup }: Warmup & { readonly cycles?: number } = {}): Schedule =>
  warmed(warmup, (step, steps, rise) => {
    const progress = (step - rise) / Math.max(1, steps - rise)
    return 0.5 * (1 + Math.cos(Math.PI * cycles * 2 * progress))
  })

const warmed = (
  { warmupSteps, warmupRatio }: Warmup,
  after: (step: number, steps: number, rise: number) => number,
): Schedule => {
  if (warmupSteps !== undefined && warmupRatio !== undefined)
    throw new GraftError({
      code: 'bad-option',
      culprit: 'schedule',
      given: 'both warmupSteps and warmupRatio',
      expected: 'one of them',
    })
  checkOptions('schedule', {
    warmupSteps: [warmupSteps ?? 0, 0, Number.POSITIVE_INFINITY],
    // The ratio 1 is a rise all the way.
    warmupRatio: [warmupRatio ?? 0, 0, 1 + Number.EPSILON],
  })
  return (step, steps) => {
    const rise = warmupSteps ?? Math.ceil(steps * (warmupRatio ?? 0))
    if (step < rise) return step / rise
    return Math.max(0, after(step, steps, rise))
  }
}
