import { GraftError } from '@graftjs/tensor/error'
import { atomicWriteFolder } from './atomic-folder.ts'
import { writeFailed } from './atomic-write.ts'
import {
  CHECKPOINT_FORMAT,
  CHECKPOINT_VERSION,
  type Checkpoint,
  FILES,
  folderName,
  listCheckpoints,
  MANIFEST,
  OPTIMIZER,
  PARAMETERS,
  placesIn,
  RUN,
  sha256,
} from './checkpoint.ts'
import type { JsonObject } from './strict-json.ts'
import { nodeFs, type WriteFs } from './write-fs.ts'
import { writeSafetensors } from './write-safetensors.ts'

export interface WriteCheckpointOptions {
  /** Checkpoints that stay, this one counted. Default 2. */
  readonly keep?: number
  /** Steps whose checkpoints stay beside these. */
  readonly protect?: readonly number[]
  readonly fs?: WriteFs | undefined
}

/**
 * Writes a checkpoint into a folder of its own below `dir`. Older ones go once it is whole and on the disk, so whatever
 * fails, and whenever the process is killed, the last good one is there. Those of later steps go as well: a run that stands
 * at `step` was taken up before them.
 */
export const writeCheckpoint = async (
  dir: string,
  { step, run, parameters, optimizer }: Checkpoint,
  { keep = 2, protect = [], fs: given }: WriteCheckpointOptions = {},
): Promise<string> => {
  const fs = given ?? (await nodeFs())
  const folder = `${dir}/${folderName(step)}`
  const data: [string, Uint8Array][] = [
    [PARAMETERS, writeSafetensors(parameters)],
    [OPTIMIZER, writeSafetensors(optimizer)],
    [RUN, new TextEncoder().encode(JSON.stringify(run))],
  ]
  const files: JsonObject = {}
  for (const [name, bytes] of data) files[name] = { bytes: bytes.byteLength, sha256: await sha256(bytes) }
  const manifest = { format: CHECKPOINT_FORMAT, version: CHECKPOINT_VERSION, step, files }
  const text = new TextEncoder().encode(`${JSON.stringify(manifest, null, 2)}\n`)
  await atomicWriteFolder(folder, [...data, [MANIFEST, text]], fs)
  try {
    await fs.flushFolder(dir)
  } catch (cause) {
    throw writeFailed(folder, cause, 'the checkpoint is there, but a power cut may undo it')
  }
  await rotate(fs, dir, step, keep, protect)
  return folder
}

/** The new checkpoint is whole: that an old one cannot be removed changes nothing, the next rotation tries again. */
const rotate = async (
  fs: WriteFs,
  dir: string,
  step: number,
  keep: number,
  protect: readonly number[],
): Promise<void> => {
  let kept = 1
  for (const place of placesIn(dir, await fs.list(dir).catch(() => []))) {
    if (place.step === step || (place.step < step && protect.includes(place.step))) continue
    const files = await fs.list(place.folder).catch(() => undefined)
    // What a kill left half written does not count.
    if (place.step < step && files?.includes(MANIFEST) && kept < keep) kept++
    else if (files) await removeFolder(fs, place.folder, files).catch(() => {})
  }
}

/** The manifest first: a folder that is half removed must not look like a checkpoint that went bad. */
const removeFolder = async (fs: WriteFs, folder: string, present: readonly string[]): Promise<void> => {
  for (const name of FILES.toReversed())
    for (const file of present) if (file === name || file.startsWith(`${name}.`)) await fs.remove(`${folder}/${file}`)
  await fs.removeFolder(folder)
}

/** Removes every checkpoint below `dir`, and `dir` itself if nothing else is in it. */
export const removeCheckpoints = async (dir: string, given?: WriteFs): Promise<void> => {
  const fs = given ?? (await nodeFs())
  try {
    for (const { folder } of await listCheckpoints(dir)) await removeFolder(fs, folder, await fs.list(folder))
    if ((await fs.list(dir).catch(() => ['?'])).length === 0) await fs.removeFolder(dir)
  } catch (cause) {
    if (cause instanceof GraftError) throw cause
    throw writeFailed(dir, cause, 'some checkpoints may be left')
  }
}
