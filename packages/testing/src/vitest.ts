import type { Method } from '@graftjs/core'
import { describe, it } from 'vitest'
import { type ConformanceOptions, conformanceCases } from './conformance/conformance.ts'
import type { Promises } from './conformance/promises.ts'
import type { Figures } from './conformance/subject.ts'

export interface TestMethodOptions extends ConformanceOptions {
  /** Told the figures of each check that passed. */
  readonly onFigures?: (bed: string, check: string, figures: Figures) => void
}

/**
 * The conformance suite as vitest tests: one call tests a method on every model, on the backend that is current when the
 * tests run. What `promises` denies is tested too: that it is refused by name.
 */
export const testMethod = (method: Method, promises: Promises = {}, options: TestMethodOptions = {}): void => {
  describe(method.name, () => {
    for (const { bed, check, run } of conformanceCases(method, promises, options))
      it(`${bed}: ${check}`, async () => {
        const figures = await run()
        if (figures) options.onFigures?.(bed, check, figures)
      })
  })
}
