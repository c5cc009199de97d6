import { GraftError } from '@graftjs/tensor/error'

export interface DownloadOptions {
  readonly url: string
  /** The file to make. It appears only when it is whole and verified. */
  readonly file: string
  /** Refused if the bytes do not hash to it. */
  readonly sha256?: string
  /** Milliseconds to wait for an answer. Default 30,000. */
  readonly patienceMs?: number
  readonly onProgress?: (received: number, total: number | undefined) => void
  readonly signal?: AbortSignal
}

/** Downloads to a file beside the target, hashing as it goes; renames when whole. Returns the SHA-256. */
export const download = async ({
  url,
  file,
  sha256,
  patienceMs = 30_000,
  onProgress,
  signal,
}: DownloadOptions): Promise<string> => {
  const { createHash } = await import('node:crypto')
  const { mkdir, open, rename, rm } = await import('node:fs/promises')
  const { dirname } = await import('node:path')
  const response = await answer(url, patienceMs, signal)
  await mkdir(dirname(file), { recursive: true })
  const temporary = `${file}.incomplete-${process.pid}`
  const hash = createHash('sha256')
  const total = Number(response.headers.get('content-length')) || undefined
  let received = 0
  try {
    const handle = await open(temporary, 'w')
    try {
      for await (const chunk of response.body! as unknown as AsyncIterable<Uint8Array>) {
        hash.update(chunk)
        await handle.write(chunk)
        received += chunk.byteLength
        onProgress?.(received, total)
      }
      await handle.sync()
    } finally {
      await handle.close()
    }
    const encoded = response.headers.get('content-encoding')
    if (total !== undefined && !encoded && received !== total)
      throw new GraftError({ code: 'cut-short', culprit: url, given: `${received} bytes`, expected: `${total}` })
    const found = hash.digest('hex')
    if (sha256 && found !== sha256)
      throw new GraftError({ code: 'bad-checksum', culprit: url, given: `SHA-256 ${found}`, expected: sha256 })
    await rename(temporary, file)
    return found
  } catch (cause) {
    await rm(temporary, { force: true })
    if (cause instanceof GraftError) throw cause
    throw new GraftError({
      code: 'download-failed',
      culprit: url,
      message: `${url}: the download failed (${(cause as Error).message})`,
      cause,
    })
  }
}

const answer = async (url: string, patienceMs: number, signal?: AbortSignal): Promise<Response> => {
  const patience = AbortSignal.timeout(patienceMs)
  const headersOnly = new AbortController()
  const give = (): void => headersOnly.abort()
  patience.addEventListener('abort', give)
  signal?.addEventListener('abort', give)
  try {
    const response = await fetch(url, { signal: headersOnly.signal, redirect: 'follow' })
    if (!response.ok)
      throw new GraftError({ code: 'no-answer', culprit: url, given: `status ${response.status}`, expected: '200' })
    return response
  } catch (cause) {
    if (cause instanceof GraftError) throw cause
    const why = patience.aborted
      ? `no answer within ${patienceMs / 1000} s`
      : (cause as Error).cause instanceof Error
        ? ((cause as Error).cause as Error).message
        : (cause as Error).message
    throw new GraftError({ code: 'no-answer', culprit: url, message: `${url}: ${why}`, cause })
  } finally {
    // The body may take its time.
    patience.removeEventListener('abort', give)
  }
}

/** The SHA-256 of a file, hexadecimal. */
export const sha256File = async (path: string): Promise<string> => {
  const { createHash } = await import('node:crypto')
  const { createReadStream } = await import('node:fs')
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(path)) hash.update(chunk as Uint8Array)
  return hash.digest('hex')
}
