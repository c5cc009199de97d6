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
export { jsonlLog } from './logs/jsonl-log.ts'
export type { LogEnd } from './logs/log-line.ts'
export type { LogSink } from './logs/log-sink.ts'
export { type JsonlLog, parseJsonlLog, readJsonlLog } from './logs/read-jsonl-log.ts'
export { type TensorBoardOptions, tensorBoardLog } from './logs/tensorboard-log.ts'
export { neftune } from './neftune.ts'
export type { PlanOptions, TrainData } from './plan-steps.ts'
export { type ProgressOptions, progress } from './progress.ts'
export { type ReportOptions, report } from './report/report.ts'
export { type ReportHtmlOptions, reportHtml } from './report/report-html.ts'
export type { MaskToken, RunRecord } from './report/run-record.ts'
export { sparkline } from './sparkline.ts'
export { type TrainOptions, type TrainResult, train } from './train.ts'
