import { GraftError } from '@graftjs/tensor/error'
import { saveId, saveOf, temporaryName } from './temporary-name.ts'
import { nodeFs, type WriteFs } from './write-fs.ts'

export type Bytes = Uint8Array | AsyncIterable<Uint8Array>

/**
 * Writes one file: beside its target first, flushed, then renamed over it. Whatever fails before the rename leaves the old
 * file as it was and nothing beside it; a kill leaves at most a `.tmp-…` file, which the next save of that name removes.
 */
export const atomicWrite = async (path: string, bytes: Bytes, given?: WriteFs): Promise<void> => {
  const fs = given ?? (await nodeFs())
  const [folder, name] = splitPath(path)
  const temporary = `${folder}/${temporaryName(name, 'tmp', saveId())}`
  let renamed = false
  try {
    await fs.mkdir(folder)
    await writeFlushed(fs, temporary, bytes)
    await fs.rename(temporary, path)
    renamed = true
    await fs.flushFolder(folder)
  } catch (cause) {
    if (!renamed) await fs.remove(temporary).catch(() => {})
    if (cause instanceof GraftError) throw cause
    throw writeFailed(path, cause, renamed ? 'the new file is there, but a power cut may undo it' : UNCHANGED)
  }
  await sweep(fs, folder, [name])
}

export const UNCHANGED = 'what was there before is unchanged'

export const writeFailed = (path: string, cause: unknown, state: string): GraftError =>
  new GraftError({
    code: 'write-failed',
    culprit: path,
    message: `${path}: cannot be written (${(cause as Error).message}); ${state}`,
    cause,
  })

/** Writes all bytes, on the disk when it returns. */
export const writeFlushed = async (fs: WriteFs, path: string, bytes: Bytes): Promise<void> => {
  const handle = await fs.open(path)
  try {
    if (bytes instanceof Uint8Array) await writeAll(handle.write, bytes)
    else for await (const chunk of bytes) await writeAll(handle.write, chunk)
    await handle.flush()
  } finally {
    await handle.close()
  }
}

const writeAll = async (write: (bytes: Uint8Array) => Promise<number>, bytes: Uint8Array): Promise<void> => {
  for (let at = 0; at < bytes.byteLength; ) {
    const written = await write(bytes.subarray(at))
    if (written === 0) throw new Error('the disk takes no more bytes')
    at += written
  }
}

/** Removes what saves of these files left beside them. The save is done: that this fails changes nothing. */
export const sweep = async (fs: WriteFs, folder: string, names: readonly string[]): Promise<void> => {
  const files = await fs.list(folder).catch(() => [])
  const left = files.filter((file) => names.some((name) => saveOf(file, name, 'tmp') ?? saveOf(file, name, 'old')))
  for (const file of left) await fs.remove(`${folder}/${file}`).catch(() => {})
}

const splitPath = (path: string): [folder: string, name: string] => {
  const at = Math.max(path.lastIndexOf('/'), path.lastIndexOf('\\'))
  return at < 0 ? ['.', path] : [path.slice(0, at) || '/', path.slice(at + 1)]
}
