import { type CheckpointPlace, isJsonObject, type JsonObject } from '@graftjs/files'
import { type Facts, totals } from './facts.ts'
import { jsonOf } from './model-facts.ts'
import { safetensorsFacts } from './read-headers.ts'

/** One checkpoint of a training run. Its bytes are not checked: resuming does that. */
export const checkpointFacts = async (path: string): Promise<Facts> => {
  const manifest = await jsonOf(`${path}/checkpoint.json`)
  const run = await jsonOf(`${path}/run.json`)
  const { tensors } = await safetensorsFacts(`${path}/parameters.safetensors`)
  return {
    kind: 'checkpoint',
    path,
    version: manifest.version ?? null,
    step: manifest.step ?? null,
    ...totals(tensors),
    run: plainFacts(run),
    tensors,
  }
}

/** A folder that holds checkpoints, newest first. */
export const checkpointsFacts = (path: string, places: readonly CheckpointPlace[]): Facts => ({
  kind: 'checkpoints',
  path,
  steps: places.map(({ step }) => step),
  newest: places[0]!.folder,
  tensors: [],
})

/** Lists (of losses, of random states) can be long and say little. */
const plainFacts = (run: JsonObject): JsonObject =>
  Object.fromEntries(
    Object.entries(run)
      .filter(([, value]) => !Array.isArray(value))
      .map(([key, value]) => [key, isJsonObject(value) ? plainFacts(value) : value]),
  )
