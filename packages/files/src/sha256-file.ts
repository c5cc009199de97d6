import { GraftError } from '@graftjs/tensor/error'

/** The SHA-256 of a file, hexadecimal. */
export const sha256File = async (path: string): Promise<string> => {
  const { createHash } = await import('node:crypto')
  const { createReadStream } = await import('node:fs')
  const hash = createHash('sha256')
  try {
    for await (const chunk of createReadStream(path)) hash.update(chunk as Uint8Array)
  } catch (cause) {
    const message = `${path}: cannot be read (${(cause as Error).message})`
    throw new GraftError({ code: 'read-failed', culprit: path, message, cause })
  }
  return hash.digest('hex')
}
