import type { StoredParam, Tuned } from '@graftjs/core'
import {
  type Checkpoint,
  fromFloat32,
  type JsonObject,
  type NamedTensor,
  newestCheckpoint,
  readCheckpoint,
  toFloat32,
  type WriteFs,
  writeCheckpoint,
} from '@graftjs/files'
import type { Optimizer } from '@graftjs/optim'
import { tensor } from '@graftjs/tensor'
import { GraftError } from '@graftjs/tensor/error'
import type { Judged } from './evaluation.ts'
import { requireSameRun } from './run-facts.ts'

export interface CheckpointOptions {
  /** The folder that gets a folder for each checkpoint. */
  readonly dir: string
  /** A checkpoint each so many steps, of the best evaluation, and one at the end. Absent: only of an evaluation that may be restored, and when `signal` aborts. */
  readonly everySteps?: number | undefined
  /** Checkpoints that stay; that of the best evaluation stays beside them. Default 2. */
  readonly keep?: number | undefined
  /** The file system to write through. Default Node's. */
  readonly fs?: WriteFs
  /** Kept in every checkpoint for `checkpointedRun` to tell, such as the day that chat templates took for today. */
  readonly note?: JsonObject
}

/** Where a run stands: all that its bits depend on beside what `runFacts` states. */
export interface Position {
  /** Steps done. The order of rows, the seeds of dropout and the schedule are functions of it. */
  readonly step: number
  /** NaN where a step was skipped. */
  readonly losses: readonly number[]
  readonly evaluations: readonly Judged[]
  /** All steps are done, or evaluations ended the run. */
  readonly finished: boolean
}

/** What a folder of checkpoints says of its run, to those who have no model yet. */
export interface CheckpointedRun {
  readonly step: number
  readonly steps: number
  /** All steps are done, or evaluations ended the run. */
  readonly finished: boolean
  /** Of the kernels that its bits come from. */
  readonly variant: string
  /** What `checkpoint.note` was. */
  readonly note: JsonObject
}

/** Undefined where no checkpoint is whole. */
export const checkpointedRun = async (dir: string): Promise<CheckpointedRun | undefined> => {
  const newest = await newestCheckpoint(dir, () => {})
  const facts = (newest?.run.facts ?? {}) as JsonObject
  return (
    newest && {
      step: newest.step,
      steps: facts.steps as number,
      finished: newest.run.finished === true,
      variant: String(facts['kernel variant']),
      note: (newest.run.note ?? {}) as JsonObject,
    }
  )
}

export const checkCheckpointOptions = ({ everySteps = 1, keep = 2 }: CheckpointOptions): void => {
  for (const [name, value] of Object.entries({ everySteps, keep }))
    if (!Number.isInteger(value) || value < 1)
      throw new GraftError({
        code: 'bad-option',
        culprit: `checkpoint.${name}`,
        given: String(value),
        expected: 'a whole number ≥ 1',
      })
}

/**
 * A run that starts afresh must not mix its checkpoints with those of another: the newest of a folder is the one to go on from.
 * What a kill left of a first checkpoint is none.
 */
export const requireNoCheckpoints = async (dir: string): Promise<void> => {
  const faults: GraftError[] = []
  const newest = await newestCheckpoint(dir, (fault) => void faults.push(fault))
  const broken = faults.find(({ code }) => code !== 'no-file')
  if (!newest && !broken) return
  throw new GraftError({
    code: 'checkpoints-exist',
    culprit: dir,
    given: newest ? `the checkpoint of step ${newest.step}` : `a checkpoint that went bad (${broken!.message})`,
    expected: 'an empty folder for a run that starts afresh: resume the run, or remove the folder',
  })
}

export const savePosition = async (
  { dir, keep = 2, fs, note = {} }: CheckpointOptions,
  tuned: Tuned,
  optimizer: Optimizer,
  facts: JsonObject,
  { step, losses, evaluations, finished }: Position,
  protect: readonly number[],
): Promise<string> => {
  const parameters: NamedTensor[] = []
  for (const [path, { value }] of tuned.params.all)
    parameters.push(fromFloat32(path, value.shape, (await value.data()) as Float32Array))
  const state = [...(await optimizer.state())].map(([name, { shape, data }]) => fromFloat32(name, shape, data))
  const run = { facts, losses: [...losses], evaluations: evaluations as unknown as JsonObject[], finished, note }
  return writeCheckpoint(dir, { step, run, parameters, optimizer: state }, { keep, fs, protect })
}

/** Puts the newest whole checkpoint of `dir` into the parameters and the optimiser; nothing changes unless all of it fits. */
export const restorePosition = async (
  dir: string,
  tuned: Tuned,
  optimizer: Optimizer,
  facts: JsonObject,
  onSkip: (fault: GraftError) => void,
): Promise<Omit<Position, 'finished'> & { folder: string }> => {
  let skipped: GraftError | undefined
  const found = await newestCheckpoint(dir, (fault) => {
    skipped ??= fault
    onSkip(fault)
  })
  if (!found)
    throw new GraftError({
      code: 'no-checkpoint',
      culprit: dir,
      given: skipped ? `no checkpoint that is whole (${skipped.message})` : 'no checkpoint',
      expected: 'one to resume from: start the run without resume',
      cause: skipped,
    })
  const { folder, step, run } = found
  requireSameRun(folder, facts, (run.facts ?? {}) as JsonObject)
  putBack(folder, found, tuned, optimizer)
  // JSON has no NaN.
  const losses = (run.losses as (number | null)[]).map((loss) => loss ?? Number.NaN)
  return { folder, step, losses, evaluations: (run.evaluations ?? []) as unknown as Judged[] }
}

/** Puts one checkpoint of this run back into the parameters and the optimiser. */
export const restoreState = async (folder: string, tuned: Tuned, optimizer: Optimizer): Promise<void> =>
  putBack(folder, await readCheckpoint(folder), tuned, optimizer)

const putBack = (
  folder: string,
  { parameters, optimizer: state }: Pick<Checkpoint, 'parameters' | 'optimizer'>,
  tuned: Tuned,
  optimizer: Optimizer,
): void => {
  const { all } = tuned.params
  const values = new Map(parameters.map((t) => [t.name, t]))
  requireSameParameters(folder, all, values)
  requireKnownState(folder, all, state)
  optimizer.load(new Map(state.map((t) => [t.name, { shape: t.shape, data: toFloat32(t) }])))
  for (const [path, param] of all) param.set(tensor(toFloat32(values.get(path)!).slice(), param.shape))
}

const requireSameParameters = (
  folder: string,
  all: ReadonlyMap<string, StoredParam>,
  values: ReadonlyMap<string, NamedTensor>,
): void => {
  const shown = (shape: readonly number[] | undefined): string => (shape ? `shape [${shape}]` : 'absent')
  for (const path of new Set([...all.keys(), ...values.keys()])) {
    const [mine, theirs] = [shown(all.get(path)?.shape), shown(values.get(path)?.shape)]
    if (mine === theirs) continue
    throw new GraftError({
      code: 'other-run',
      culprit: `${folder}: ${path}`,
      given: mine,
      expected: `${theirs}, as in the checkpoint`,
    })
  }
}

/** State that belongs to no parameter would be taken in and never used: its parameter would start over unseen. */
const requireKnownState = (
  folder: string,
  all: ReadonlyMap<string, StoredParam>,
  state: readonly NamedTensor[],
): void => {
  const paths = new Set([...all.values()].map(({ path }) => path))
  const stray = state.find(({ name }) => !paths.has(name.slice(0, name.lastIndexOf('.'))))
  if (!stray) return
  throw new GraftError({
    code: 'other-run',
    culprit: `${folder}: ${stray.name}`,
    given: 'optimiser state',
    expected: 'that of a parameter of this run',
  })
}
