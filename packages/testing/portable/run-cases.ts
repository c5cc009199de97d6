import { cases } from './cases.ts'
import { type Message, type Target, textOf } from './protocol.ts'
import { setUp } from './set-up.ts'

/** Runs every case of the target here and tells of each. */
export const runCases = async (target: Target, tell: (message: Message) => Promise<void>): Promise<void> => {
  try {
    const guard = await setUp(target)
    if (typeof guard === 'string') return await tell({ type: 'unavailable', reason: guard })
    for (const c of cases(target)) {
      await tell({ type: 'begin', name: c.name })
      const error = await guard(c).then(
        () => undefined,
        (thrown: unknown) => textOf(thrown),
      )
      await tell({ type: 'result', name: c.name, ...(error === undefined ? {} : { error }) })
    }
    await tell({ type: 'end' })
  } catch (error) {
    await tell({ type: 'fatal', error: textOf(error) })
  }
}
