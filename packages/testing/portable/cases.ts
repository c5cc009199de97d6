import { conformanceCases } from './conformance-cases.ts'
import { deviceCases } from './device-cases.ts'
import { environmentCases } from './environment-cases.ts'
import { kernelCases } from './kernel-cases.ts'
import type { PortableCase, Target } from './protocol.ts'

/** Every case of a target. The test process lists them by name, the environment runs them in this order. */
export const cases = (target: Target): PortableCase[] => [
  ...environmentCases(target),
  ...kernelCases(target),
  ...deviceCases(),
  ...conformanceCases(target),
]
