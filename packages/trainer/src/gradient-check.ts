import type { StoredParam } from '@graftjs/core'
import { GraftError } from '@graftjs/tensor/error'
import type { StepOutcome } from './make-step.ts'

/** Steps by which every parameter must have had a gradient: LoRA's A has none before B has moved, and B needs one to move. */
const STEPS = 3

/**
 * Watches the first steps for parameters that nothing reaches: they would be saved as they were drawn, and nobody would know.
 * Returns the fault once it is certain.
 */
export const gradientCheck = (
  params: Iterable<StoredParam>,
): ((step: number, outcome: StepOutcome, lr: number) => GraftError | undefined) => {
  const missing = new Set([...params].filter(({ trainable }) => trainable).map(({ path }) => path))
  const all = missing.size
  let moved = 0
  return (step, { squares, made }, lr) => {
    if (moved >= STEPS || !made) return undefined
    for (const [path, square] of squares) if (square > 0) missing.delete(path)
    if (lr > 0) moved++
    return moved === STEPS && missing.size > 0 ? noGradient(step, [...missing], all) : undefined
  }
}

const noGradient = (step: number, paths: readonly string[], all: number): GraftError => {
  const named = paths.slice(0, 4).join(', ') + (paths.length > 4 ? ', …' : '')
  return new GraftError({
    code: 'no-gradient',
    culprit: `step ${step}`,
    given: `no gradient for ${paths.length} of ${all} trainable parameters in the first ${STEPS} steps: ${named}`,
    expected: "one for each; if some are meant to rest (experts, tasks without rows yet), gradientCheck: 'warn'",
  })
}
