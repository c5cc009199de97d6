import { GraftError } from '@graftjs/tensor/error'
import { bytesSource } from './byte-source.ts'
import {
  CHECKPOINT_FORMAT,
  CHECKPOINT_VERSION,
  type Checkpoint,
  type CheckpointPlace,
  listCheckpoints,
  MANIFEST,
  OPTIMIZER,
  PARAMETERS,
  RUN,
  sha256,
} from './checkpoint.ts'
import type { NamedTensor } from './named-tensor.ts'
import { openSafetensors } from './safetensors.ts'
import { isJsonObject, type JsonObject, strictJson } from './strict-json.ts'

/** Reads one checkpoint, every byte of it checked. */
export const readCheckpoint = async (folder: string): Promise<Checkpoint> => {
  const { step, files } = readManifest(await readBytes(`${folder}/${MANIFEST}`), `${folder}/${MANIFEST}`)
  const read = async (name: string): Promise<Uint8Array> => {
    const bytes = await readBytes(`${folder}/${name}`)
    const stated = files[name]
    const hash = await sha256(bytes)
    if (isJsonObject(stated) && stated.sha256 === hash && stated.bytes === bytes.byteLength) return bytes
    throw new GraftError({
      code: 'bad-file',
      culprit: `${folder}/${name}`,
      given: `${bytes.byteLength} bytes with the SHA-256 ${hash.slice(0, 12)}…`,
      expected: `what ${MANIFEST} says was written`,
    })
  }
  const run = strictJson(new TextDecoder().decode(await read(RUN)), `${folder}/${RUN}`)
  if (!isJsonObject(run)) throw badManifest(`${folder}/${RUN}`, 'no object', 'a JSON object')
  return {
    step,
    run,
    parameters: await tensorsOf(await read(PARAMETERS), `${folder}/${PARAMETERS}`),
    optimizer: await tensorsOf(await read(OPTIMIZER), `${folder}/${OPTIMIZER}`),
  }
}

/** The newest checkpoint below `dir` that is whole. `onSkip` hears of those that are not; one of a newer version is refused. */
export const newestCheckpoint = async (
  dir: string,
  onSkip: (fault: GraftError) => void,
): Promise<(Checkpoint & CheckpointPlace) | undefined> => {
  for (const { folder } of await listCheckpoints(dir)) {
    try {
      return { ...(await readCheckpoint(folder)), folder }
    } catch (fault) {
      if (!(fault instanceof GraftError) || fault.code === 'newer-version') throw fault
      onSkip(fault)
    }
  }
  return undefined
}

const readBytes = async (path: string): Promise<Uint8Array> => {
  const { readFile } = await import('node:fs/promises')
  return readFile(path).catch((cause: NodeJS.ErrnoException) => {
    const gone = cause.code === 'ENOENT'
    throw new GraftError({
      code: gone ? 'no-file' : 'bad-file',
      culprit: path,
      given: gone ? 'no such file' : cause.message,
      expected: gone ? 'a whole checkpoint: was its writing cut off?' : 'a file that can be read',
      cause,
    })
  })
}

const readManifest = (bytes: Uint8Array, path: string): { step: number; files: JsonObject } => {
  const value = strictJson(new TextDecoder().decode(bytes), path)
  if (!isJsonObject(value)) throw badManifest(path, 'no object', 'a JSON object')
  const { format, version, step, files } = value
  if (format !== CHECKPOINT_FORMAT)
    throw badManifest(`${path}: format`, JSON.stringify(format ?? null), JSON.stringify(CHECKPOINT_FORMAT))
  if (typeof version === 'number' && version > CHECKPOINT_VERSION)
    throw new GraftError({
      code: 'newer-version',
      culprit: `${path}: version`,
      given: String(version),
      expected: `at most ${CHECKPOINT_VERSION}: a newer Graft wrote this checkpoint`,
    })
  if (version !== CHECKPOINT_VERSION)
    throw badManifest(`${path}: version`, JSON.stringify(version ?? null), String(CHECKPOINT_VERSION))
  const named = /step-(\d+)[\\/][^\\/]*$/.exec(path)?.[1]
  if (!Number.isSafeInteger(step) || (named !== undefined && Number(named) !== step))
    throw badManifest(`${path}: step`, JSON.stringify(step ?? null), 'the step in the name of its folder')
  if (!isJsonObject(files)) throw badManifest(`${path}: files`, JSON.stringify(files ?? null), 'a JSON object')
  return { step: step as number, files }
}

const badManifest = (culprit: string, given: string, expected: string): GraftError =>
  new GraftError({ code: 'bad-file', culprit, given, expected })

const tensorsOf = async (bytes: Uint8Array, path: string): Promise<NamedTensor[]> => {
  const file = await openSafetensors(bytesSource(bytes, path))
  return Promise.all([...file.tensors.keys()].map((name) => file.read(name)))
}
