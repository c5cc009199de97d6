import { isJsonObject, type JsonObject } from '@graftjs/files'
import { GraftError } from '@graftjs/tensor/error'
import { type Task, taskNames, taskOfClass } from './tasks.ts'

/** Which head is wanted. */
export interface HeadRequest {
  /** Default: the one that `architectures` of config.json names. */
  readonly task?: Task | undefined
  /** Names of the classes, of seq-cls and token-cls. Default: `id2label` of config.json. */
  readonly labels?: readonly string[] | undefined
  /** Of the weights of a new head. Default 0. */
  readonly seed?: number | undefined
}

/** Which head a model gets. */
export interface HeadConfig {
  readonly task: Task
  /** Names of the classes; none where the task has no classes. */
  readonly labels: readonly string[]
  /** The folder is of another task, so the head may be missing and then starts from random weights. */
  readonly isNew: boolean
  readonly seed: number
  /** Standard deviation of a new matrix: `initializer_range` of config.json. */
  readonly range: number
}

/** Of a family, for errors and choices: the tasks that it can serve, the first one where `architectures` says nothing. */
export type Serves = readonly [Task, ...Task[]]

/**
 * The head that config.json and the caller want. Errors: `unsupported-task` for one that the family has not,
 * `unknown-architecture` for a class of transformers that is not known.
 */
export const readHead = (json: JsonObject, file: string, serves: Serves, want: HeadRequest = {}): HeadConfig => {
  const stored = storedTask(json, file, serves)
  const task = want.task ?? stored
  if (!serves.includes(task))
    throw new GraftError({
      code: 'unsupported-task',
      culprit: want.task ? 'task' : `${file}: architectures`,
      given: taskNames.includes(task) ? task : JSON.stringify(task),
      expected: `one of ${serves.join(', ')}, which this model serves`,
    })
  const hasClasses = task === 'seq-cls' || task === 'token-cls'
  if (want.labels && !(hasClasses && want.labels.length > 0 && new Set(want.labels).size === want.labels.length))
    throw new GraftError({
      code: 'bad-option',
      culprit: 'labels',
      given: JSON.stringify(want.labels),
      expected: hasClasses ? 'names of the classes, no two alike' : `none: ${task} has no classes`,
    })
  if (hasClasses) refuseProblem(json, file)
  const labels = hasClasses ? labelsOf(json) : []
  if (want.labels && task === stored && want.labels.length !== labels.length)
    throw new GraftError({
      code: 'bad-option',
      culprit: 'labels',
      given: `${want.labels.length} names`,
      expected: `${labels.length}: the folder has a head of the classes ${labels.join(', ')}`,
    })
  const range = json.initializer_range
  return {
    task,
    labels: want.labels ?? labels,
    isNew: task !== stored,
    seed: want.seed ?? 0,
    range: typeof range === 'number' && range > 0 ? range : 0.02,
  }
}

/** What `architectures` names: the family's first task where it says nothing. */
const storedTask = ({ architectures }: JsonObject, file: string, serves: Serves): Task => {
  const name = Array.isArray(architectures) ? architectures[0] : undefined
  if (name === undefined) return serves[0]
  const task = taskOfClass(String(name))
  if (task) return task
  throw new GraftError({
    code: 'unknown-architecture',
    culprit: `${file}: architectures`,
    given: JSON.stringify(name),
    expected: `a class for one of ${serves.join(', ')}, or loadModel's option task`,
  })
}

const labelsOf = ({ id2label, num_labels: count }: JsonObject): string[] => {
  if (isJsonObject(id2label ?? null)) {
    const named = id2label as JsonObject
    return Object.keys(named).map((_, id) => String(named[String(id)] ?? `LABEL_${id}`))
  }
  return Array.from({ length: typeof count === 'number' ? count : 2 }, (_, id) => `LABEL_${id}`)
}

const refuseProblem = ({ problem_type: problem }: JsonObject, file: string): void => {
  if ((problem ?? null) === null || problem === 'single_label_classification') return
  throw new GraftError({
    code: 'unsupported-option',
    culprit: `${file}: problem_type`,
    given: JSON.stringify(problem),
    expected: '"single_label_classification"',
  })
}

/** The tasks of a model with this config.json, the stored one first; the others get a new head. */
export const tasksServed = (
  json: JsonObject,
  serves: Serves,
): readonly { readonly task: Task; readonly isStored: boolean }[] => {
  const named = Array.isArray(json.architectures) ? taskOfClass(String(json.architectures[0])) : serves[0]
  return serves
    .map((task) => ({ task, isStored: task === named }))
    .sort((a, b) => Number(b.isStored) - Number(a.isStored))
}
