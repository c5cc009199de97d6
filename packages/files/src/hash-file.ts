import { GraftError } from '@graftjs/tensor/error'

/** The hash of `before` and a file's bytes, hexadecimal. */
export const hashFile = async (path: string, algorithm: 'sha256' | 'sha1', before = ''): Promise<string> => {
  const { createHash } = await import('node:crypto')
  const { createReadStream } = await import('node:fs')
  const hash = createHash(algorithm).update(before)
  try {
    for await (const chunk of createReadStream(path)) hash.update(chunk as Uint8Array)
  } catch (cause) {
    const message = `${path}: cannot be read (${(cause as Error).message})`
    throw new GraftError({ code: 'read-failed', culprit: path, message, cause })
  }
  return hash.digest('hex')
}
