import { GraftError, isGraftError } from '@graftjs/tensor/error'
import { follow, reason } from './follow.ts'
import { gitHashFile } from './git-hash-file.ts'
import { openPartial, type PartialFile } from './partial-file.ts'
import { nodeFs } from './write-fs.ts'

export interface DownloadOptions {
  readonly url: string
  /** The file to make. It appears only when it is whole and verified. */
  readonly file: string
  /** Refused if the bytes do not hash to it. */
  readonly sha256?: string
  /** The same for the hash by which git, and so the Hugging Face hub, knows a small file. */
  readonly gitHash?: string
  /** Bytes of the whole file: refused with more or fewer. */
  readonly size?: number
  /** Sent as a bearer token to the origin of `url` and to no other. */
  readonly token?: string
  /** Refused beyond it. Default 64 GiB. */
  readonly maxBytes?: number
  /** Milliseconds to wait for an answer. Default 30,000. */
  readonly patienceMs?: number
  /** Milliseconds without a byte after which the connection counts as broken. Default 30,000. */
  readonly stallMs?: number
  /** How often in a row to try again without a byte gained. A server that does not answer at all is asked once. Default 5. */
  readonly retries?: number
  readonly onProgress?: (received: number, total: number | undefined) => void
  readonly signal?: AbortSignal
  readonly fetch?: typeof fetch
  /** Says what an answer other than the file means; undefined where it cannot. */
  readonly explain?: (response: Response) => GraftError | undefined
}

/**
 * Downloads to a file beside the target, hashing as it goes; renames when whole and verified. Returns the SHA-256. A connection
 * that breaks is taken up where it broke, in this call or a later one, if the server names an etag and still has the same file.
 */
export const download = async (options: DownloadOptions): Promise<string> => {
  const { url, file, retries = 5, signal } = options
  const partial = await startPartial(file, url)
  let failures = 0
  let gained = false
  for (;;) {
    const before = partial.size
    try {
      // What an earlier call brought whole, and could not rename, is only checked.
      if (!isWhole(options, partial.size)) await attempt(options, partial)
      return await finish(options, partial)
    } catch (error) {
      gained ||= partial.size !== before
      failures = partial.size > before ? 1 : failures + 1
      const code = isGraftError(error) ? error.code : ''
      const mayPass = PASSING.includes(code) || (code === 'no-answer' && gained)
      if (mayPass && failures <= retries && !signal?.aborted) {
        await pause(25 * 4 ** (failures - 1))
        continue
      }
      await (LOST.includes(code) ? partial.discard() : partial.keep()).catch(() => {})
      if (signal?.aborted)
        throw new GraftError({ code: 'aborted', culprit: url, message: `${url}: aborted`, cause: error })
      throw error
    }
  }
}

const isWhole = ({ size, sha256, gitHash }: DownloadOptions, bytes: number): boolean =>
  bytes === size && (sha256 ?? gitHash) !== undefined

/** These may be gone a moment later. */
const PASSING = ['broken', 'no-connection', 'busy']
/** After these there is nothing to go on with. */
const LOST = ['bad-checksum', 'bad-size', 'too-large', 'write-failed']

const pause = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms))

const startPartial = async (file: string, url: string): Promise<PartialFile> => {
  const { mkdir } = await import('node:fs/promises')
  const { dirname } = await import('node:path')
  return onDisk(file, async () => {
    await mkdir(dirname(file), { recursive: true })
    return openPartial(file, url)
  })
}

/** Work on the disk: what fails there is no fault of the network. */
const onDisk = async <T>(file: string, work: () => Promise<T>): Promise<T> => {
  try {
    return await work()
  } catch (cause) {
    if (isGraftError(cause)) throw cause
    const message = `${file}: cannot be written (${(cause as Error).message})`
    throw new GraftError({ code: 'write-failed', culprit: file, message, cause })
  }
}

/** One connection, from where the partial file ends to the end of the file. */
const attempt = async (options: DownloadOptions, partial: PartialFile): Promise<void> => {
  const { url, token, patienceMs = 30_000, stallMs = 30_000, signal, fetch } = options
  const stalled = new AbortController()
  const stop = signal ? AbortSignal.any([signal, stalled.signal]) : stalled.signal
  const range = partial.size && partial.etag ? { range: `bytes=${partial.size}-`, 'if-range': partial.etag } : {}
  // Compressed on the way, neither sizes nor ranges would be those of the file.
  const headers = { 'accept-encoding': 'identity', ...range }
  const { response } = await follow({ url, headers, token, patienceMs, signal: stop, fetch })
  const total = await begin(options, partial, response)
  if (total === 'again') return attempt(options, partial)
  let timer: ReturnType<typeof setTimeout> | undefined
  const watch = (): void => {
    clearTimeout(timer)
    timer = setTimeout(() => stalled.abort(), stallMs)
  }
  try {
    watch()
    await receive(options, partial, response, total, watch)
  } catch (cause) {
    if (isGraftError(cause)) throw cause
    throw broken(url, stalled.signal.aborted ? `no byte for ${stallMs / 1000} s` : reason(cause as Error), cause)
  } finally {
    clearTimeout(timer)
  }
  if (total !== undefined && partial.size !== total) throw broken(url, `${partial.size} of ${total} bytes came`)
}

const broken = (url: string, why: string, cause?: unknown): GraftError =>
  new GraftError({ code: 'broken', culprit: url, message: `${url}: the connection broke (${why})`, cause })

const receive = async (
  { url, file, maxBytes = MAX_BYTES, onProgress }: DownloadOptions,
  partial: PartialFile,
  { body }: Response,
  total: number | undefined,
  watch: () => void,
): Promise<void> => {
  // Node's streams can be iterated; the browser's types do not say so.
  for await (const chunk of body as unknown as AsyncIterable<Uint8Array>) {
    watch()
    if (partial.size + chunk.byteLength > maxBytes) throw tooLarge(url, partial.size + chunk.byteLength, maxBytes)
    await onDisk(file, () => partial.append(chunk))
    onProgress?.(partial.size, total)
  }
}

const MAX_BYTES = 2 ** 36

const tooLarge = (url: string, bytes: number, maxBytes: number): GraftError =>
  new GraftError({ code: 'too-large', culprit: url, given: `${bytes} bytes or more`, expected: `at most ${maxBytes}` })

/** Readies the partial file for this answer's body. Returns the whole file's size, or 'again' where the rest cannot be had. */
const begin = async (
  options: DownloadOptions,
  partial: PartialFile,
  response: Response,
): Promise<number | undefined | 'again'> => {
  const { url, file } = options
  const { status, headers } = response
  const etag = strong(headers.get('etag'))
  const encoded = (headers.get('content-encoding') ?? 'identity') !== 'identity'
  if (partial.size > 0 && (status === 206 || status === 416)) {
    const [, from, of] = /^bytes (\d+)-\d+\/(\d+)$/.exec(headers.get('content-range') ?? '') ?? []
    if (status === 206 && !encoded && Number(from) === partial.size && etag === partial.etag) return Number(of)
    await response.body?.cancel()
    await onDisk(file, () => partial.restart(undefined))
    return 'again'
  }
  const length = encoded ? null : headers.get('content-length')
  const total = length === null ? undefined : Number(length)
  const fault = status === 200 ? badLength(options, total) : (options.explain?.(response) ?? badStatus(url, status))
  if (fault) {
    await response.body?.cancel()
    throw fault
  }
  await onDisk(file, () => partial.restart(encoded ? undefined : etag))
  return total
}

const badStatus = (culprit: string, status: number): GraftError => {
  const code = [408, 429, 500, 502, 503, 504].includes(status) ? 'busy' : 'bad-status'
  return new GraftError({ code, culprit, given: `status ${status}`, expected: '200' })
}

/** What is wrong with a length that is stated before the bytes come. */
const badLength = (
  { url, size, maxBytes = MAX_BYTES }: DownloadOptions,
  total: number | undefined,
): GraftError | undefined => {
  if (total === undefined) return undefined
  if (size !== undefined && total !== size) return badSize(url, total, size)
  return total > maxBytes ? tooLarge(url, total, maxBytes) : undefined
}

const badSize = (culprit: string, bytes: number, size: number): GraftError =>
  new GraftError({ code: 'bad-size', culprit, given: `${bytes} bytes`, expected: `${size}` })

/** Only a strong etag says that bytes are the same; a very long one would not fit into a file's name. */
const strong = (etag: string | null): string | undefined =>
  etag !== null && /^"[\x21-\x7e]{1,60}"$|^"[0-9a-f]{64}"$/.test(etag) ? etag : undefined

const finish = async ({ url, file, sha256, gitHash, size }: DownloadOptions, partial: PartialFile): Promise<string> => {
  const hold = (given: string, expected: string | undefined, kind: string): void => {
    if (expected !== undefined && given !== expected.toLowerCase())
      throw new GraftError({ code: 'bad-checksum', culprit: url, given: `${kind} ${given}`, expected })
  }
  let found = ''
  await onDisk(file, () =>
    partial.finish(async (path, hex) => {
      found = hex
      if (size !== undefined && partial.size !== size) throw badSize(url, partial.size, size)
      hold(hex, sha256, 'SHA-256')
      if (gitHash !== undefined) hold(await gitHashFile(path), gitHash, 'git hash')
    }),
  )
  const { dirname } = await import('node:path')
  await onDisk(file, async () => (await nodeFs()).flushFolder(dirname(file)))
  return found
}
