import { GraftError } from '@graftjs/tensor/error'
import type { NamedTensor } from './named-tensor.ts'
import type { JsonObject } from './strict-json.ts'

export const CHECKPOINT_FORMAT = 'graft-checkpoint'
export const CHECKPOINT_VERSION = 1

export const PARAMETERS = 'parameters.safetensors'
export const OPTIMIZER = 'optimizer.safetensors'
export const RUN = 'run.json'
/** Written last: where it is, the others are. It has their sizes and hashes, so that a file that went bad is found. */
export const MANIFEST = 'checkpoint.json'
export const FILES = [PARAMETERS, OPTIMIZER, RUN, MANIFEST]

/** A training run between two of its steps. */
export interface Checkpoint {
  /** Steps done. */
  readonly step: number
  /** What the run is and where it stands, as JSON. */
  readonly run: JsonObject
  readonly parameters: readonly NamedTensor[]
  readonly optimizer: readonly NamedTensor[]
}

/** Where a checkpoint lies: `<dir>/step-00000012`. */
export interface CheckpointPlace {
  readonly step: number
  readonly folder: string
}

export const folderName = (step: number): string => `step-${String(step).padStart(8, '0')}`

/** Newest first. */
export const placesIn = (dir: string, names: readonly string[]): CheckpointPlace[] =>
  names
    .filter((name) => /^step-\d{8,15}$/.test(name))
    .map((name) => ({ step: Number(name.slice('step-'.length)), folder: `${dir}/${name}` }))
    .sort((a, b) => b.step - a.step)

/** The checkpoints below `dir`, whole or not, newest first; none where there is no such folder. */
export const listCheckpoints = async (dir: string): Promise<CheckpointPlace[]> => {
  const { readdir } = await import('node:fs/promises')
  const names = await readdir(dir).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === 'ENOENT') return []
    throw new GraftError({
      code: 'bad-file',
      culprit: dir,
      message: `${dir}: cannot be listed (${cause.message})`,
      cause,
    })
  })
  return placesIn(dir, names)
}

export const sha256 = async (bytes: Uint8Array): Promise<string> => {
  const digest = await crypto.subtle.digest('SHA-256', bytes as Uint8Array<ArrayBuffer>)
  return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, '0')).join('')
}
