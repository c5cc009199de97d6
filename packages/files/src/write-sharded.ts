import { GraftError } from '@graftjs/tensor/error'
import { atomicWriteFolder } from './atomic-folder.ts'
import type { Bytes } from './atomic-write.ts'
import { INDEX } from './open-sharded.ts'
import { pythonJson } from './python-json.ts'
import { nodeFs, type WriteFs } from './write-fs.ts'
import { byteCount, type LazyTensor, safetensorsChunks } from './write-safetensors.ts'

export interface WriteShardedOptions {
  /** Bytes of tensors in a shard. A larger tensor has one of its own. Default 5e9, as transformers. */
  readonly maxShardBytes?: number
  /** Of each shard. Default `{ format: 'pt' }`, which transformers wants. */
  readonly metadata?: Readonly<Record<string, string>>
  /** More files of the same save, such as config.json. */
  readonly beside?: readonly (readonly [name: string, bytes: Uint8Array])[]
  readonly fs?: WriteFs
}

const SINGLE = 'model.safetensors'

/**
 * Writes the weights of a model as transformers does: model.safetensors where all fit in one shard, else
 * model-00001-of-0000N.safetensors … and model.safetensors.index.json. One tensor is in memory at a time. All files of the
 * save take their places together, and weights of an earlier save that would be read in their place are removed.
 * Returns the names of the weight files. Errors: `bad-tensor`, `bad-name`, `write-failed`; the old files then stay.
 */
export const writeSharded = async (
  dir: string,
  tensors: readonly LazyTensor[],
  { maxShardBytes = 5e9, metadata = { format: 'pt' }, beside = [], fs }: WriteShardedOptions = {},
): Promise<string[]> => {
  if (!(maxShardBytes > 0))
    throw new GraftError({
      code: 'bad-option',
      culprit: 'maxShardBytes',
      given: String(maxShardBytes),
      expected: 'a number above 0',
    })
  const groups = groupsOf(tensors, maxShardBytes)
  const names = groups.map((_, i) => (groups.length === 1 ? SINGLE : shardName(i, groups.length)))
  const shards = groups.map((group, i) => [names[i]!, safetensorsChunks(group, metadata)] as const)
  const index: [string, Bytes][] = groups.length === 1 ? [] : [[INDEX, indexOf(groups, names)]]
  await atomicWriteFolder(dir, [...beside, ...shards, ...index], fs)
  await removeOthers(dir, new Set([...names, ...index.map(([name]) => name)]), fs ?? (await nodeFs()))
  return names
}

const shardName = (i: number, of: number): string => {
  const five = (n: number): string => String(n).padStart(5, '0')
  return `model-${five(i + 1)}-of-${five(of)}.safetensors`
}

/** In their order, as many in a group as fit. */
const groupsOf = (tensors: readonly LazyTensor[], most: number): LazyTensor[][] => {
  const groups: LazyTensor[][] = [[]]
  let size = 0
  for (const tensor of tensors) {
    const bytes = byteCount(tensor)
    if (size > 0 && size + bytes > most) {
      groups.push([])
      size = 0
    }
    groups.at(-1)!.push(tensor)
    size += bytes
  }
  refuseTwice(tensors)
  return groups
}

/** Each shard refuses a name that it has twice; two shards with the same name do not know of each other. */
const refuseTwice = (tensors: readonly LazyTensor[]): void => {
  const seen = new Set<string>()
  for (const { name } of tensors) {
    if (seen.has(name))
      throw new GraftError({
        code: 'bad-name',
        culprit: `tensor ${JSON.stringify(name)}`,
        given: 'a name twice',
        expected: 'another name',
      })
    seen.add(name)
  }
}

const indexOf = (groups: readonly LazyTensor[][], names: readonly string[]): Uint8Array => {
  const map = new Map(groups.flatMap((group, i) => group.map(({ name }) => [name, names[i]!] as const)))
  const size = groups.flat().reduce((sum, tensor) => sum + byteCount(tensor), 0)
  const json = { metadata: { total_size: size }, weight_map: Object.fromEntries(map) }
  return new TextEncoder().encode(`${pythonJson(json)}\n`)
}

/** transformers reads model.safetensors before an index: one of an earlier save would hide this one. */
const removeOthers = async (dir: string, written: ReadonlySet<string>, fs: WriteFs): Promise<void> => {
  const isWeights = (file: string): boolean =>
    file === SINGLE || file === INDEX || /^model-\d{5}-of-\d{5}\.safetensors$/.test(file)
  for (const file of await fs.list(dir)) if (isWeights(file) && !written.has(file)) await fs.remove(`${dir}/${file}`)
}
