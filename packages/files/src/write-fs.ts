/** What of the file system saving needs. Tests put faults in its place. */
export interface WriteFs {
  /** Makes the folder and those above it; true if it was not there. */
  mkdir(path: string): Promise<boolean>
  open(path: string): Promise<WriteHandle>
  rename(from: string, to: string): Promise<void>
  /** Nothing happens where there is no such file. */
  remove(path: string): Promise<void>
  /** Removes an empty folder. */
  removeFolder(path: string): Promise<void>
  list(path: string): Promise<string[]>
  /** Makes what was renamed in a folder outlive a power cut, where the system can. */
  flushFolder(path: string): Promise<void>
}

export interface WriteHandle {
  /** May take fewer bytes than it is given; says how many. */
  write(bytes: Uint8Array): Promise<number>
  flush(): Promise<void>
  close(): Promise<void>
}

export const nodeFs = async (): Promise<WriteFs> => {
  const { mkdir, open, readdir, rename, rm, rmdir } = await import('node:fs/promises')
  return {
    mkdir: async (path) => (await mkdir(path, { recursive: true })) !== undefined,
    open: async (path) => {
      const handle = await open(path, 'w')
      return {
        write: async (bytes) => (await handle.write(bytes)).bytesWritten,
        flush: () => handle.sync(),
        close: () => handle.close(),
      }
    },
    rename,
    remove: (path) => rm(path, { force: true }),
    removeFolder: rmdir,
    list: (path) => readdir(path),
    flushFolder: async (path) => {
      const handle = await open(path, 'r').catch(ignoreUnable)
      if (!handle) return
      try {
        await handle.sync().catch(ignoreUnable)
      } finally {
        await handle.close()
      }
    },
  }
}

/** Some systems cannot open or flush a folder: there the rename alone must do. A disk that fails still throws. */
const ignoreUnable = (error: NodeJS.ErrnoException): undefined => {
  if (['EISDIR', 'EINVAL', 'EPERM', 'EACCES', 'ENOTSUP', 'ENOSYS'].includes(error.code ?? '')) return undefined
  throw error
}
