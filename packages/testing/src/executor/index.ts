export type { ExecutorCase } from './case.ts'
export { courseCases } from './course-cases.ts'
export { faultCases } from './fault-cases.ts'
