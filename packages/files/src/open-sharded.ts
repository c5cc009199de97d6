import { GraftError } from '@graftjs/tensor/error'
import { brief } from './brief.ts'
import { type ByteSource, fileSource } from './byte-source.ts'
import { openSafetensors, type Safetensors } from './safetensors.ts'
import { isJsonObject, strictJson } from './strict-json.ts'

/** The shards of a model as one file. Each tensor is read from its shard when it is asked for. */
export interface Sharded extends Safetensors {
  /** The shards' names, in the order of the index. */
  readonly shards: readonly string[]
  close(): Promise<void>
}

/** Opens a file of the folder by its name: in a browser `File`s, OPFS handles, or ranges of a URL. */
export type OpenFile = (name: string) => Promise<ByteSource>

export const INDEX = 'model.safetensors.index.json'
const INDEX_CAP = 100_000_000
const SHARD_CAP = 10_000

/**
 * Opens the shards that model.safetensors.index.json of a folder names (Node), or of a function that opens its files. All
 * headers are read at once, no weights.
 * Errors: `bad-file` for an index that names a place outside the folder, and for a tensor that is not in the shard that the
 * index says, or in two, or in none; `no-file` for a shard that is missing.
 */
export const openSharded = async (folder: string | OpenFile): Promise<Sharded> => {
  const open: OpenFile = typeof folder === 'string' ? (name) => fileSource(`${folder}/${name}`) : folder
  const { weightMap, bad } = await readIndex(open)
  const shards = [...new Set(weightMap.values())]
  if (shards.length > SHARD_CAP) throw bad(`${shards.length} shards`, `at most ${SHARD_CAP}`)
  const sources: ByteSource[] = []
  const close = async (): Promise<void> => {
    for (const source of sources) await source.close()
  }
  try {
    const files = new Map<string, Safetensors>()
    for (const shard of shards) {
      const source = await open(shard)
      sources.push(source)
      files.set(shard, await openSafetensors(source))
    }
    checkPlaces(weightMap, files, bad)
    return { ...joined(weightMap, files, bad), shards, close }
  } catch (error) {
    await close()
    throw error
  }
}

type Bad = (given: string, expected: string) => GraftError

const readIndex = async (open: OpenFile): Promise<{ weightMap: Map<string, string>; bad: Bad }> => {
  const source = await open(INDEX)
  const bad: Bad = (given, expected) => new GraftError({ code: 'bad-file', culprit: source.name, given, expected })
  try {
    if (source.size > INDEX_CAP) throw bad(`${source.size} bytes`, `an index of at most ${INDEX_CAP}`)
    const json = strictJson(new TextDecoder().decode(await source.read(0, source.size)), source.name)
    const map = isJsonObject(json) ? json.weight_map : undefined
    if (!isJsonObject(map)) throw bad('no weight_map', 'an object of tensor names and their files')
    const weightMap = new Map<string, string>()
    for (const [name, file] of Object.entries(map)) {
      if (typeof file !== 'string' || !isPlainName(file))
        throw bad(`${brief(name)} in ${brief(file)}`, 'the name of a .safetensors file beside the index')
      weightMap.set(name, file)
    }
    return { weightMap, bad }
  } finally {
    await source.close()
  }
}

/** Beside the index and nowhere else: no folders, no `..`, no drive, nothing that a system reads as one. */
const isPlainName = (file: string): boolean => /^[^/\\:\0]+\.safetensors$/.test(file) && !file.startsWith('.')

const checkPlaces = (
  weightMap: ReadonlyMap<string, string>,
  files: ReadonlyMap<string, Safetensors>,
  bad: Bad,
): void => {
  for (const [name, shard] of weightMap)
    if (!files.get(shard)!.tensors.has(name)) {
      const other = [...files].find(([, { tensors }]) => tensors.has(name))
      throw bad(`${brief(name)} in ${shard}`, other ? `${other[0]}, which holds it` : 'a shard that holds it')
    }
  for (const [shard, { tensors }] of files)
    for (const name of tensors.keys())
      if (weightMap.get(name) !== shard)
        throw bad(
          `${brief(name)} ${weightMap.has(name) ? `in ${weightMap.get(name)}` : 'nowhere'}, while ${shard} holds one too`,
          'each tensor of the shards once',
        )
}

const joined = (
  weightMap: ReadonlyMap<string, string>,
  files: ReadonlyMap<string, Safetensors>,
  bad: Bad,
): Safetensors => {
  const fileOf = (name: string): Safetensors => {
    const shard = weightMap.get(name)
    if (shard !== undefined) return files.get(shard)!
    const { culprit } = bad('', '')
    throw new GraftError({
      code: 'no-tensor',
      culprit: culprit!,
      given: name,
      expected: `one of its ${weightMap.size} tensors`,
    })
  }
  return {
    metadata: new Map([...files.values()].flatMap(({ metadata }) => [...metadata])),
    tensors: new Map([...weightMap.keys()].map((name) => [name, fileOf(name).tensors.get(name)!])),
    read: async (name) => fileOf(name).read(name),
  }
}
