import { stat } from 'node:fs/promises'
import { listCheckpoints } from '@graftjs/files'
import { fetchModel, isHubId } from '@graftjs/models'
import { GraftError } from '@graftjs/tensor/error'
import { adapterFacts } from './adapter-facts.ts'
import { checkpointFacts, checkpointsFacts } from './checkpoint-facts.ts'
import { type Facts, totals } from './facts.ts'
import { folderFacts, ggufModelFacts } from './model-facts.ts'
import { safetensorsFacts } from './read-headers.ts'

const WHAT = 'a model folder, a .gguf file, a hub id, an adapter folder, a .safetensors file or a checkpoint folder'

/** What lies at `path`, by its name and files. */
export const factsOf = async (path: string): Promise<Facts> => {
  const found = await stat(path).catch(() => undefined)
  if (found?.isDirectory()) return folder(path)
  if (found && path.endsWith('.gguf')) return ggufModelFacts(path)
  if (found && path.endsWith('.safetensors')) return safetensors(path)
  if (!found && isHubId(path)) return folderFacts(await fetchModel(path), path)
  throw new GraftError({
    code: 'no-file',
    culprit: path,
    given: found ? 'a file of another kind' : 'no such file or folder',
    expected: WHAT,
  })
}

const folder = async (path: string): Promise<Facts> => {
  const has = (name: string): Promise<boolean> =>
    stat(`${path}/${name}`).then(
      () => true,
      () => false,
    )
  if (await has('adapter_config.json')) return adapterFacts(path)
  if (await has('checkpoint.json')) return checkpointFacts(path)
  if (await has('config.json')) return folderFacts(path, path)
  for (const below of [path, `${path}/checkpoints`]) {
    const places = await listCheckpoints(below)
    if (places.length) return checkpointsFacts(path, places)
  }
  throw new GraftError({
    code: 'no-file',
    culprit: path,
    given: 'a folder without config.json, adapter_config.json or checkpoints',
    expected: WHAT,
  })
}

const safetensors = async (path: string): Promise<Facts> => {
  const { tensors, metadata } = await safetensorsFacts(path)
  return { kind: 'safetensors', path, ...totals(tensors), metadata, tensors }
}
