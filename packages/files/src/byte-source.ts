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

/** Bytes in memory. What is read is a view of them. */
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
    const bytes = await blob
      .slice(offset, offset + length)
      .arrayBuffer()
      .catch((cause: Error) => {
        throw unreadable(name, cause)
      })
    return new Uint8Array(bytes)
  },
  close: async () => {},
})

/** Node reads less than 2 GiB at once. */
const READ_CAP = 1 << 30

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
  const stat = await handle.stat()
  if (!stat.isFile()) {
    await handle.close()
    throw new GraftError({ code: 'no-file', culprit: path, given: 'a folder or device', expected: 'a file' })
  }
  const { size } = stat
  const read = async (offset: number, length: number): Promise<Uint8Array> => {
    checkRange(path, size, offset, length)
    const bytes = new Uint8Array(length)
    let at = 0
    while (at < length) {
      const { bytesRead } = await handle.read(bytes, at, Math.min(length - at, READ_CAP), offset + at)
      if (bytesRead === 0) throw new Error(`it ends at ${offset + at}: was it cut while it was read?`)
      at += bytesRead
    }
    return bytes
  }
  return {
    name: path,
    size,
    read: (offset, length) =>
      read(offset, length).catch((cause: Error) => {
        throw cause instanceof GraftError ? cause : unreadable(path, cause)
      }),
    close: () => handle.close(),
  }
}

const unreadable = (name: string, cause: Error): GraftError =>
  new GraftError({ code: 'read-failed', culprit: name, message: `${name}: cannot be read (${cause.message})`, cause })

const checkRange = (name: string, size: number, offset: number, length: number): void => {
  if (offset >= 0 && length >= 0 && offset + length <= size) return
  throw new GraftError({
    code: 'bad-file',
    culprit: name,
    given: `a read of ${length} bytes at ${offset}`,
    expected: `a range within ${size} bytes`,
  })
}
