export type {
  Continuation,
  EvaluationReport,
  StepReport,
  TrainCallbacks,
  TrainEnd,
  TrainEvent,
  TrainStart,
} from './callbacks.ts'
export { type CheckpointedRun, type CheckpointOptions, checkpointedRun } from './checkpoints.ts'
export { type EvaluateOptions, evaluate } from './evaluate.ts'
export type { EvaluationOptions, Judged } from './evaluation.ts'
export { lossSvg, sparkline } from './loss-chart.ts'
export { neftune } from './neftune.ts'
export type { PlanOptions, TrainData } from './plan-steps.ts'
export { type ProgressOptions, progress } from './progress.ts'
export { type TrainOptions, type TrainResult, train } from './train.ts'
