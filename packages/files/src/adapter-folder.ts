import { GraftError } from '@graftjs/tensor/error'
import { atomicWriteFolder, wholeSets } from './atomic-folder.ts'
import { fileSource } from './byte-source.ts'
import type { NamedTensor } from './named-tensor.ts'
import { peftKey } from './peft-key.ts'
import { pythonJson } from './python-json.ts'
import { openSafetensors } from './safetensors.ts'
import { isJsonObject, type JsonObject, strictJson } from './strict-json.ts'
import type { WriteFs } from './write-fs.ts'
import { writeSafetensors } from './write-safetensors.ts'

const CONFIG = 'adapter_config.json'
const WEIGHTS = 'adapter_model.safetensors'
const CONFIG_CAP = 10_000_000

export interface AdapterFolder {
  readonly config: JsonObject
  /** By path, without PEFT's prefix. */
  readonly tensors: ReadonlyMap<string, NamedTensor>
}

// 0.0 is 0 to JavaScript: a config that nobody changed is written again in the words it came in.
const wordings = new WeakMap<object, string>()

/** Reads adapter_config.json and adapter_model.safetensors: of one save, even if that was killed half way. */
export const readAdapter = async (dir: string): Promise<AdapterFolder> => {
  const { text, config, files } = await readConfig(dir)
  const weights = files.get(WEIGHTS)
  if (!weights) throw await withoutWeights(dir)
  const tensors = await readTensors(weights)
  wordings.set(config, text)
  return { config, tensors }
}

interface FoundConfig {
  text: string
  config: JsonObject
  files: ReadonlyMap<string, string>
}

const readConfig = async (dir: string): Promise<FoundConfig> => {
  const sets = await wholeSets(dir, [WEIGHTS, CONFIG])
  for (const files of sets) {
    const path = files.get(CONFIG)!
    const text = await readText(path)
    try {
      return { text, config: parseAdapterConfig(text, path), files }
    } catch (error) {
      // Half a temporary file: the save that it is of did not get as far as its own set.
      if (path === `${dir}/${CONFIG}`) throw error
    }
  }
  throw new GraftError({
    code: 'no-file',
    culprit: `${dir}/${CONFIG}`,
    given: 'no such file',
    expected: 'a folder that PEFT or Graft wrote',
  })
}

const readText = async (path: string): Promise<string> => {
  const source = await fileSource(path)
  try {
    if (source.size > CONFIG_CAP)
      throw new GraftError({
        code: 'bad-file',
        culprit: path,
        given: `${source.size} bytes`,
        expected: `a config of ${CONFIG_CAP} bytes at most`,
      })
    return new TextDecoder().decode(await source.read(0, source.size))
  } finally {
    await source.close()
  }
}

/** The config that a text holds. Errors: `bad-file`. */
export const parseAdapterConfig = (text: string, path: string): JsonObject => {
  const config = strictJson(text, path)
  if (isJsonObject(config)) return config
  throw new GraftError({ code: 'bad-file', culprit: path, given: 'no object', expected: 'a JSON object' })
}

const readTensors = async (path: string): Promise<Map<string, NamedTensor>> => {
  const source = await fileSource(path)
  try {
    const file = await openSafetensors(source)
    const tensors = new Map<string, NamedTensor>()
    for (const name of file.tensors.keys()) tensors.set(peftKey.fromDisk(name, path), await file.read(name))
    return tensors
  } finally {
    await source.close()
  }
}

const withoutWeights = async (dir: string): Promise<GraftError> => {
  const { access } = await import('node:fs/promises')
  const pickle = await access(`${dir}/adapter_model.bin`).then(
    () => true,
    () => false,
  )
  return new GraftError({
    code: 'no-file',
    culprit: `${dir}/${WEIGHTS}`,
    given: pickle ? 'adapter_model.bin, a pickle, which can run code when it is read' : 'no such file',
    expected: pickle
      ? 'safetensors: load the adapter in Python and call save_pretrained(…), which writes them'
      : 'the weights beside the config',
  })
}

/** Writes both files as PEFT writes them, as one set; the old ones stay whole if anything fails. */
export const writeAdapter = async (dir: string, { config, tensors }: AdapterFolder, fs?: WriteFs): Promise<void> => {
  const named = [...tensors].map(([path, tensor]) => ({ ...tensor, name: peftKey.toDisk(path) }))
  const weights = writeSafetensors(named, { format: 'pt' })
  await atomicWriteFolder(
    dir,
    [
      [WEIGHTS, weights],
      [CONFIG, new TextEncoder().encode(configText(config))],
    ],
    fs,
  )
}

/** As PEFT writes it; it sets inference_mode whatever it was while training. */
const configText = (config: JsonObject): string => {
  const text = pythonJson({ ...config, inference_mode: true })
  const wording = wordings.get(config)
  return wording !== undefined && pythonJson(JSON.parse(wording)) === text ? wording : text
}
