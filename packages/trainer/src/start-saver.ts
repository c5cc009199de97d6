import type { Tuned } from '@graftjs/core'
import { listCheckpoints } from '@graftjs/files'
import { constant } from '@graftjs/optim'
import { GraftError } from '@graftjs/tensor/error'
import {
  checkCheckpointOptions,
  requireNoCheckpoints,
  restorePosition,
  restoreState,
  savePosition,
} from './checkpoints.ts'
import { hasEnough, type Judged, judge } from './evaluation.ts'
import type { TrainData } from './plan-steps.ts'
import { runFacts } from './run-facts.ts'
import type { TrainOptions } from './train.ts'

export interface Saver {
  /** Of the steps done; a resumed run's are there from the start. */
  readonly losses: number[]
  readonly evaluations: Judged[]
  /** The folder that the run goes on from. */
  readonly resumedFrom?: string
  /** Faults of checkpoints that were passed over for an older one. */
  readonly passedOver: readonly GraftError[]
  /** Writes the position down unless that is done; the folder. */
  save(): Promise<{ readonly folder: string; readonly fresh: boolean } | undefined>
  isDue(step: number): boolean
  /** Goes back to the parameters and moments of the newest periodic checkpoint; its step. */
  rollBack(): Promise<number>
  /** Takes the parameters and moments of the checkpoint of `step`. */
  restore(step: number): Promise<void>
}

/**
 * Takes a run up where it stood and writes down where it stands. That is always between two steps: a step that was cut off
 * among its micro-batches has changed nothing yet, and is done again from its start to the same bits.
 */
export const startSaver = async (
  tuned: Tuned,
  data: TrainData,
  options: TrainOptions,
  steps: number,
): Promise<Saver> => {
  const { optimizer, checkpoint, resume, evaluation, nonFinite } = options
  if (checkpoint) checkCheckpointOptions(checkpoint)
  const from = resume === true ? checkpoint?.dir : resume || undefined
  if (resume && from === undefined) throw resumeFromNowhere()
  if (checkpoint && checkpoint.dir !== from) await requireNoCheckpoints(checkpoint.dir)
  if (!checkpoint && from === undefined) return withoutFiles()
  const facts = await runFacts(tuned, data, { ...options, schedule: options.schedule ?? constant(), steps })
  const passedOver: GraftError[] = []
  const position =
    from === undefined
      ? undefined
      : await restorePosition(from, tuned, optimizer, facts, (fault) => void passedOver.push(fault))
  const losses = [...(position?.losses ?? [])]
  const evaluations = [...(position?.evaluations ?? [])]
  let newest = position && from === checkpoint?.dir ? { step: position.step, folder: position.folder } : undefined
  const everySteps = checkpoint?.everySteps
  // What a rollback goes back to: the same one whether or not the run was resumed in between.
  const periodic = (): number => (everySteps ? losses.length - (losses.length % everySteps) : 0)
  const protect = (): number[] => [
    ...(evaluation ? [judge(evaluations, evaluation).best?.step ?? 0] : []),
    ...(nonFinite === 'rollback' ? [periodic()] : []),
  ]
  const folderOf = async (step: number): Promise<string> => {
    for (const dir of [checkpoint?.dir, from]) {
      const place = dir && (await listCheckpoints(dir)).find((known) => known.step === step)
      if (place) return place.folder
    }
    throw lost(step, checkpoint?.dir ?? from!)
  }
  return {
    losses,
    evaluations,
    passedOver,
    ...(position && { resumedFrom: position.folder }),
    save: async () => {
      const step = losses.length
      if (!checkpoint || newest?.step === step) return newest && { folder: newest.folder, fresh: false }
      const folder = await savePosition(
        checkpoint,
        tuned,
        optimizer,
        facts,
        { step, losses, evaluations, finished: step >= steps || hasEnough(evaluations, evaluation) },
        protect(),
      )
      newest = { step, folder }
      return { folder, fresh: true }
    },
    isDue: (step) => everySteps !== undefined && step % everySteps === 0 && (step > 0 || nonFinite === 'rollback'),
    rollBack: async () => {
      // The step that failed is counted already.
      const step = periodic() === losses.length ? losses.length - everySteps! : periodic()
      await restoreState(await folderOf(step), tuned, optimizer)
      return step
    },
    restore: async (step) => restoreState(await folderOf(step), tuned, optimizer),
  }
}

const withoutFiles = (): Saver => {
  const never = async (): Promise<never> => {
    throw new Error('unreachable: there is no checkpoint')
  }
  return {
    losses: [],
    evaluations: [],
    passedOver: [],
    save: async () => undefined,
    isDue: () => false,
    rollBack: never,
    restore: never,
  }
}

const resumeFromNowhere = (): GraftError =>
  new GraftError({
    code: 'bad-option',
    culprit: 'resume',
    given: 'true without checkpoint.dir',
    expected: 'the folder of the checkpoints',
  })

const lost = (step: number, dir: string): GraftError =>
  new GraftError({
    code: 'no-checkpoint',
    culprit: dir,
    given: `no checkpoint of step ${step}`,
    expected: 'the one that this run wrote: was it removed?',
  })
