import { deviceCases } from './device-cases.ts'
import { environmentCases } from './environment-cases.ts'
import { kernelCases } from './kernel-cases.ts'
import type { PortableCase, Target } from './protocol.ts'

/** Every case of a target. The test process lists them by name, the environment runs them in this order. */
export const cases = (target: Target): PortableCase[] => [
  ...environmentCases(target),
  ...kernelCases(target),
  ...deviceCases(),
  // ── Conformance (every method × a model): `...conformanceCases(target.backend)` of '@graftjs/testing' goes here. ──
]
