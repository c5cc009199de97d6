import type { Tuned } from '@graftjs/core'
import type { Sample } from '@graftjs/data'
import { constant } from '@graftjs/optim'
import { GraftError } from '@graftjs/tensor/error'
import { checkCheckpointOptions, requireNoCheckpoints, restorePosition, savePosition } from './checkpoints.ts'
import { runFacts } from './run-facts.ts'
import type { TrainOptions } from './train.ts'

export interface Saver {
  /** Of the steps done; a resumed run's are there from the start. */
  readonly losses: number[]
  afterStep(step: number): Promise<void>
  /** The newest checkpoint's folder. */
  atEnd(): Promise<string | undefined>
}

/**
 * Takes a run up where it stood and writes down where it stands. That is always between two steps: a step that was cut off
 * among its micro-batches has changed nothing yet, and is done again from its start to the same bits.
 */
export const startSaver = async (
  tuned: Tuned,
  samples: readonly Sample[],
  options: TrainOptions,
  steps: number,
): Promise<Saver> => {
  const { optimizer, schedule = constant(), batchSize = 8, accumulate = 1, clip = 0, seed = 0 } = options
  const { checkpoint, resume, onResume, onSkippedCheckpoint = () => {} } = options
  if (checkpoint) checkCheckpointOptions(checkpoint)
  const from = resume === true ? checkpoint?.dir : resume || undefined
  if (resume && from === undefined)
    throw new GraftError({
      code: 'bad-option',
      culprit: 'resume',
      given: 'true without checkpoint.dir',
      expected: 'the folder of the checkpoints',
    })
  if (checkpoint && checkpoint.dir !== from) await requireNoCheckpoints(checkpoint.dir)
  if (!checkpoint && from === undefined) return { losses: [], afterStep: async () => {}, atEnd: async () => undefined }
  const facts = runFacts(tuned, samples, { optimizer, schedule, steps, batchSize, accumulate, clip, seed })
  const position =
    from === undefined ? undefined : await restorePosition(from, tuned, optimizer, facts, onSkippedCheckpoint)
  if (position) await onResume?.({ step: position.step, folder: position.folder })
  const losses = [...(position?.losses ?? [])]
  let newest = position && from === checkpoint?.dir ? { step: position.step, folder: position.folder } : undefined
  const save = async (): Promise<void> => {
    const step = losses.length
    if (!checkpoint || newest?.step === step) return
    newest = { step, folder: await savePosition(checkpoint, tuned, optimizer, facts, { step, losses }) }
  }
  return {
    losses,
    afterStep: async (step) => {
      if (checkpoint?.everySteps && step % checkpoint.everySteps === 0) await save()
    },
    atEnd: async () => {
      // Also at the end, so that taking a finished run up again does nothing.
      if (losses.length < steps || checkpoint?.everySteps || position) await save()
      return newest?.folder
    },
  }
}
