import { GraftError } from '@graftjs/tensor/error'
import { atomicWrite, type WriteFs } from './atomic-write.ts'
import { fileSource } from './byte-source.ts'
import type { NamedTensor } from './named-tensor.ts'
import { openSafetensors, writeSafetensors } from './safetensors.ts'
import { type Json, strictJson } from './strict-json.ts'

const CONFIG = 'adapter_config.json'
const WEIGHTS = 'adapter_model.safetensors'
const PREFIX = 'base_model.model.'

/** PEFT's names on disk and ours: `base_model.model.` + the module's path + the part. */
export const peftKey = {
  toDisk: (path: string): string => PREFIX + path,
  fromDisk: (key: string, file: string): string => {
    if (key.startsWith(PREFIX)) return key.slice(PREFIX.length)
    throw new GraftError({
      code: 'bad-file',
      culprit: file,
      given: `the key ${key}`,
      expected: `keys that begin with ${PREFIX}`,
    })
  },
}

export interface AdapterFolder {
  readonly config: { [key: string]: Json }
  /** By path, without PEFT's prefix. */
  readonly tensors: ReadonlyMap<string, NamedTensor>
}

/** Reads adapter_config.json and adapter_model.safetensors. */
export const readAdapter = async (dir: string): Promise<AdapterFolder> => {
  const { access, readFile } = await import('node:fs/promises')
  const exists = (name: string): Promise<boolean> =>
    access(`${dir}/${name}`).then(
      () => true,
      () => false,
    )
  if (!(await exists(CONFIG)))
    throw new GraftError({
      code: 'no-file',
      culprit: `${dir}/${CONFIG}`,
      given: 'no such file',
      expected: 'a folder that PEFT or Graft wrote',
    })
  if (!(await exists(WEIGHTS))) {
    const pickle = await exists('adapter_model.bin')
    throw new GraftError({
      code: 'no-file',
      culprit: `${dir}/${WEIGHTS}`,
      given: pickle ? 'adapter_model.bin, a pickle, which can run code when read' : 'no such file',
      expected: pickle
        ? 'safetensors: load it in Python and save_pretrained(…, safe_serialization=True)'
        : 'the weights beside the config',
    })
  }
  const config = strictJson(await readFile(`${dir}/${CONFIG}`, 'utf8'), `${dir}/${CONFIG}`)
  if (typeof config !== 'object' || config === null || Array.isArray(config))
    throw new GraftError({
      code: 'bad-file',
      culprit: `${dir}/${CONFIG}`,
      given: 'no object',
      expected: 'a JSON object',
    })
  const source = await fileSource(`${dir}/${WEIGHTS}`)
  try {
    const file = await openSafetensors(source)
    const tensors = new Map<string, NamedTensor>()
    for (const name of file.tensors.keys()) tensors.set(peftKey.fromDisk(name, source.name), await file.read(name))
    return { config, tensors }
  } finally {
    await source.close()
  }
}

/** Writes both files as PEFT writes them; the old ones stay whole if anything fails. */
export const writeAdapter = async (dir: string, { config, tensors }: AdapterFolder, fs?: WriteFs): Promise<void> => {
  const named = [...tensors].map(([path, tensor]) => ({ ...tensor, name: peftKey.toDisk(path) }))
  const files = [
    [WEIGHTS, writeSafetensors(named, { format: 'pt' })],
    [CONFIG, new TextEncoder().encode(pythonJson(config))],
  ] as const
  await atomicWrite(dir, files, fs)
}

/** json.dumps(…, indent=2, sort_keys=True). */
const pythonJson = (value: Json): string => {
  const sorted = (v: Json): Json => {
    if (Array.isArray(v)) return v.map(sorted)
    if (typeof v !== 'object' || v === null) return v
    return Object.fromEntries(
      Object.keys(v)
        .sort()
        .map((key) => [key, sorted(v[key]!)]),
    )
  }
  return JSON.stringify(sorted(value), null, 2).replace(
    /[\u007f-\uffff]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}
