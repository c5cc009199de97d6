import type { JsonObject } from '@graftjs/files'
import { families } from './families.ts'
import { type Serves, tasksServed } from './heads/head-config.ts'
import type { Task } from './heads/tasks.ts'

/** Of a family that has one head. */
export const decoderTasks: Serves = ['causal-lm']

/** What a model can be loaded for. */
export interface ServedTask {
  readonly task: Task
  /** Its folder has the head; otherwise `loadModel(where, { task })` makes a new one, which wants training. */
  readonly isStored: boolean
}

/** The tasks that a model with this config.json serves, that of its own head first; none where `loadModel` does not know it. */
export const tasksOf = (config: JsonObject): readonly ServedTask[] => {
  const family = families.find(({ types }) => types.includes(String(config.model_type)))
  return family ? tasksServed(config, family.tasks ?? decoderTasks) : []
}
