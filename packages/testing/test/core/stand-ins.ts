import { useSimd } from '@graftjs/kernels'
import { env } from '@tensorflow/tfjs-core'
import { afterAll, beforeAll } from 'vitest'
import { type Bed, type Figures, standIns } from '../../src/index.ts'
import { testMethod } from '../../src/vitest.ts'
import { printTable } from './table.ts'

/** Every stand-in on one model, and a table of what was measured. */
export const testStandIns = (bed: Bed): void => {
  const rows = new Map<string, Figures>(standIns.map(([method]) => [method.name, {}]))
  // One thread: other suites run beside this one, and nothing here is large enough to share.
  beforeAll(async () => {
    env().set('IS_TEST', true)
    await useSimd({ threads: 1 })
  })
  for (const [method, promises] of standIns)
    testMethod(method, promises, {
      beds: [bed],
      onFigures: (_, __, figures) => rows.set(method.name, { ...rows.get(method.name), ...figures }),
    })
  afterAll(() => printTable(`Stand-in methods on the ${bed.name}`, rows))
}
