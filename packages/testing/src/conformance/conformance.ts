import type { Method } from '@graftjs/core'
import { memory } from '@graftjs/tensor'
import { backends } from './backends.ts'
import { type Bed, beds } from './bed.ts'
import { cached } from './cached.ts'
import { counters, memoryGrowth } from './counters.ts'
import { gains } from './gains.ts'
import { gradients } from './gradients.ts'
import { handover } from './handover.ts'
import { identity } from './identity.ts'
import { levels } from './levels.ts'
import { merging } from './merging.ts'
import { mixedRows } from './mixed-rows.ts'
import { packed } from './packed.ts'
import { padding } from './padding.ts'
import type { Promises } from './promises.ts'
import { saving } from './saving.ts'
import { type Check, type Figures, fail, type Subject } from './subject.ts'
import { trains } from './training.ts'

/** All checks, in the order in which a failure explains the next. */
export const checks = {
  identity,
  gradients,
  handover,
  counters,
  levels,
  'memory growth': memoryGrowth,
  gains,
  'mixed rows': mixedRows,
  cached,
  packed,
  padding,
  trains,
  saving,
  merging,
  backends,
} satisfies Record<string, Check>
export type CheckName = keyof typeof checks

/** One check of one method on one model, for any test runner: `run` throws what is wrong. */
export interface ConformanceCase {
  readonly name: string
  readonly method: string
  readonly bed: Bed['name']
  readonly check: CheckName
  run(): Promise<Figures | undefined>
}

export interface ConformanceOptions {
  /** Default: both. */
  readonly beds?: readonly Bed[]
  /** Default: all. */
  readonly only?: readonly CheckName[]
}

/** The conformance suite of one method, on the current backend. */
export const conformanceCases = (
  method: Method,
  promises: Promises = {},
  { beds: on = beds, only = Object.keys(checks) as CheckName[] }: ConformanceOptions = {},
): ConformanceCase[] =>
  on.flatMap((bed) =>
    only.map((check) => ({
      name: `${method.name} on the ${bed.name}: ${check}`,
      method: method.name,
      bed: bed.name,
      check,
      run: () => level({ method, promises, bed }, checks[check]),
    })),
  )

/** Every check leaves as many tensors as it found. */
const level = async (subject: Subject, check: Check): Promise<Figures | undefined> => {
  const before = memory().tensors
  const figures = await check(subject)
  if (memory().tensors !== before) fail(subject, 'tensors left', String(memory().tensors - before), 'none')
  return figures
}
