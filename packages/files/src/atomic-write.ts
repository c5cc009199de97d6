import { GraftError } from '@graftjs/tensor/error'

/** What of the file system writing needs: tests put faults in its place. */
export interface WriteFs {
  mkdir(path: string): Promise<void>
  /** Writes, flushes to the disk and closes. */
  writeFlushed(path: string, bytes: Uint8Array): Promise<void>
  rename(from: string, to: string): Promise<void>
  remove(path: string): Promise<void>
  flushFolder(path: string): Promise<void>
}

export const nodeFs = async (): Promise<WriteFs> => {
  const { mkdir, open, rename, rm } = await import('node:fs/promises')
  return {
    mkdir: async (path) => void (await mkdir(path, { recursive: true })),
    writeFlushed: async (path, bytes) => {
      const handle = await open(path, 'w')
      try {
        let at = 0
        while (at < bytes.byteLength) {
          const { bytesWritten } = await handle.write(bytes, at, bytes.byteLength - at)
          if (bytesWritten === 0) throw new Error('no byte was written')
          at += bytesWritten
        }
        await handle.sync()
      } finally {
        await handle.close()
      }
    },
    rename,
    remove: (path) => rm(path, { force: true }),
    flushFolder: async (path) => {
      const handle = await open(path, 'r')
      // Some file systems cannot flush a folder; the rename has happened all the same.
      await handle.sync().catch(() => {})
      await handle.close()
    },
  }
}

/** A name beside the target that no two writers share. */
const temporaryName = (path: string): string =>
  `${path}.tmp-${Date.now().toString(36)}-${Math.floor(Math.random() * 2 ** 32).toString(36)}`

/**
 * Writes several files of one folder: every file is first written and flushed beside its target, then all are renamed over.
 * Whatever fails before the first rename (a full disk, say) leaves the old files as they were and no litter. Put the file
 * that readers check last: a kill between two renames leaves new files before it and the old one.
 */
export const atomicWrite = async (
  dir: string,
  files: readonly (readonly [name: string, bytes: Uint8Array])[],
  given?: WriteFs,
): Promise<void> => {
  const fs = given ?? (await nodeFs())
  const pending = files.map(([name, bytes]) => ({
    target: `${dir}/${name}`,
    temporary: temporaryName(`${dir}/${name}`),
    bytes,
  }))
  try {
    await fs.mkdir(dir)
    for (const { temporary, bytes } of pending) await fs.writeFlushed(temporary, bytes)
    for (const { temporary, target } of pending) await fs.rename(temporary, target)
    await fs.flushFolder(dir)
  } catch (cause) {
    for (const { temporary } of pending) await fs.remove(temporary).catch(() => {})
    throw new GraftError({
      code: 'write-failed',
      culprit: dir,
      message: `${dir}: cannot be written (${(cause as Error).message}); what was there before is unchanged`,
      cause,
    })
  }
}
