import { afterAll, beforeAll, describe, it } from 'vitest'
import { required } from '../../../scripts/browser.mjs'
import { cases } from './cases.ts'
import type { Host } from './host.ts'
import { type Run, startRun } from './outcomes.ts'
import type { Target } from './protocol.ts'

const SILENCE_MS = 60_000

/** Each case of the target as a test of its own. */
export const portableSuite = (title: string, target: Target, host: Host): void => {
  const names = cases(target).map((c) => c.name)
  let run: Run
  describe(title, () => {
    beforeAll(() => {
      run = startRun(names, host, target, SILENCE_MS)
    })
    afterAll(() => run.stop())
    it.for(names)('%s', { timeout: 3 * SILENCE_MS }, async (name, context) => {
      const { missing, error = missing } = await run.outcome(name)
      // In CI what is missing is a fault; on a machine of someone's own it is skipped, and the reason told.
      if (missing !== undefined && !required()) context.skip(missing)
      // The message carries the stack of where it was thrown.
      if (error !== undefined) throw Object.assign(new Error(error), { stack: '' })
    })
  })
}
