import { GraftError } from '@graftjs/tensor/error'

/** Bytes that are read a piece at a time: a large file is never wholly in memory. */
export interface ByteSource {
  /** For errors: the file's name. */
  readonly name: string
  readonly size: number
  /** Exactly `length` bytes from `offset` on. */
  read(offset: number, length: number): Promise<Uint8Array>
  close(): Promise<void>
}

export const bytesSource = (bytes: Uint8Array, name = 'bytes'): ByteSource => ({
  name,
  size: bytes.byteLength,
  read: async (offset, length) => {
    checkRange(name, bytes.byteLength, offset, length)
    return bytes.subarray(offset, offset + length)
  },
  close: async () => {},
})

/** A `File` or `Blob` of a browser. */
export const blobSource = (blob: Blob, name = 'file'): ByteSource => ({
  name,
  size: blob.size,
  read: async (offset, length) => {
    checkRange(name, blob.size, offset, length)
    return new Uint8Array(await blob.slice(offset, offset + length).arrayBuffer())
  },
  close: async () => {},
})

/** A file on disk (Node). */
export const fileSource = async (path: string): Promise<ByteSource> => {
  const { open } = await import('node:fs/promises')
  const handle = await open(path, 'r').catch((cause: Error) => {
    throw new GraftError({
      code: 'no-file',
      culprit: path,
      message: `${path}: cannot be opened (${cause.message})`,
      cause,
    })
  })
  const { size } = await handle.stat()
  return {
    name: path,
    size,
    read: async (offset, length) => {
      checkRange(path, size, offset, length)
      const bytes = new Uint8Array(length)
      const { bytesRead } = await handle.read(bytes, 0, length, offset)
      if (bytesRead !== length)
        throw new GraftError({
          code: 'bad-file',
          culprit: path,
          given: `${bytesRead} bytes at ${offset}`,
          expected: `${length}: was the file cut while it was read?`,
        })
      return bytes
    },
    close: () => handle.close(),
  }
}

const checkRange = (name: string, size: number, offset: number, length: number): void => {
  if (offset >= 0 && length >= 0 && offset + length <= size) return
  throw new GraftError({
    code: 'bad-file',
    culprit: name,
    given: `a read of ${length} bytes at ${offset}`,
    expected: `a range within ${size} bytes`,
  })
}
