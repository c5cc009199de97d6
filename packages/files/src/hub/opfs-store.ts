import { GraftError } from '@graftjs/tensor/error'
import type { HubStore } from './hub-blob.ts'

/**
 * Keeps blobs in the origin's private file system of a browser, in a folder of it. A file is there when it was written whole; what
 * the browser wants back it takes as a whole too. `root` stands in for that file system in tests.
 * Errors: `write-failed` where the browser gives no more room.
 */
export const opfsStore = (folder = 'graft-hub', root?: FileSystemDirectoryHandle): HubStore => {
  const open = async (): Promise<FileSystemDirectoryHandle> =>
    (root ?? (await navigator.storage.getDirectory())).getDirectoryHandle(folder, { create: true })
  return {
    get: async (name) => {
      const dir = await open()
      const handle = await dir.getFileHandle(encodeURIComponent(name)).catch(() => undefined)
      const file = await handle?.getFile()
      // A file is empty from when it is made until it is written: a page that was closed in between leaves it so.
      return file?.size ? file : undefined
    },
    put: async (name, blob) => {
      const handle = await (await open()).getFileHandle(encodeURIComponent(name), { create: true })
      const writable = await handle.createWritable()
      try {
        await writable.write(blob)
        await writable.close()
      } catch (cause) {
        await writable.abort().catch(() => {})
        const why = `cannot be kept in the browser's storage (${(cause as Error).message})`
        const message = `${name}: ${why}; free some of it, or go on without a store`
        throw new GraftError({ code: 'write-failed', culprit: name, message, cause })
      }
    },
  }
}
