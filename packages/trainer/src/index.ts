export { type CheckpointedRun, type CheckpointOptions, checkpointedRun } from './checkpoints.ts'
export { lossSvg, sparkline } from './loss-chart.ts'
export { type ProgressOptions, progress } from './progress.ts'
export { type StepReport, type TrainOptions, type TrainResult, train } from './train.ts'
