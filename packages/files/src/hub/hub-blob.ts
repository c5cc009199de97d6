import { GraftError, isGraftError } from '@graftjs/tensor/error'
import { reason } from '../follow.ts'
import { hubUrl } from '../hub-url.ts'
import { askRetries, type HubFacts, orNone } from './hub-ask.ts'
import { type HubOptions, type HubRemote, hubRemote } from './hub-context.ts'
import { hubFault, noFile } from './hub-fault.ts'
import { askCommit, askFiles } from './hub-list.ts'
import { checkFile, isCommit, repoFolder } from './hub-names.ts'
import { readBody } from './read-body.ts'

/** Where a page keeps what it has fetched: `opfsStore`, or two functions over a Map. */
export interface HubStore {
  get(name: string): Promise<Blob | undefined>
  /** Whole or not at all: what was under the name before stays until then. */
  put(name: string, blob: Blob): Promise<void>
}

export interface HubBlobOptions extends Omit<HubOptions, 'cacheDir' | 'offline'> {
  /** Without one the file is fetched each time. */
  readonly store?: HubStore
  /** Bytes that have come of the whole file. Not called for a file that is in the store. */
  readonly onProgress?: (received: number, total: number) => void
}

/**
 * A file of a repository of the Hugging Face hub in memory, for pages: no disk, no environment. It is verified as `hubFile` does, by
 * the hash that the hub's list of files states, and may have as many bytes as one array can. A browser follows redirects itself
 * and takes the token off when they leave the hub.
 */
export const hubBlob = async (
  repo: string,
  file: string,
  options: HubBlobOptions = {},
): Promise<{ blob: Blob; commit: string }> => {
  const { store, onProgress } = options
  const hub = await hubRemote(repo, options)
  const folder = repoFolder(repo, hub.type)
  const commit = await commitOf(hub, `${folder}/refs/${hub.revision}`, store)
  const name = `${folder}/snapshots/${commit}/${checkFile(repo, file)}`
  const kept = await store?.get(name)
  if (kept) return { blob: kept, commit }
  const pinned = { ...hub, revision: commit }
  const facts = (await askFiles(pinned, askRetries(hub, undefined))).get(file)
  if (!facts) throw noFile(hub, file)
  const blob = await fetchBlob(pinned, file, facts, onProgress)
  await store?.put(name, blob)
  if (commit !== hub.revision) await store?.put(`${folder}/refs/${hub.revision}`, new Blob([commit]))
  return { blob, commit }
}

/** The commit of the revision; where the hub cannot be reached, the one that it named last. */
const commitOf = async (hub: HubRemote, ref: string, store: HubStore | undefined): Promise<string> => {
  if (isCommit(hub.revision)) return hub.revision
  const text = await (await store?.get(ref))?.text()
  const known = text !== undefined && isCommit(text) ? text : undefined
  return (await askCommit(hub, askRetries(hub, known)).catch(orNone(known))) ?? known!
}

const fetchBlob = async (
  hub: HubRemote,
  file: string,
  { etag, size = 0 }: HubFacts,
  onProgress: HubBlobOptions['onProgress'],
): Promise<Blob> => {
  const url = hubUrl(hub.repo, file, hub)
  const { retries = 5, signal } = hub
  const bytes = room(url, size)
  let got = 0
  const take = (from: number, piece: Uint8Array): number => {
    if (from + piece.byteLength > size) throw refused(url, 'bad-size', `more than ${size} bytes`, `${size}`)
    bytes.set(piece, from)
    onProgress?.(from + piece.byteLength, size)
    return from + piece.byteLength
  }
  for (let failures = 0; got < size; ) {
    const before = got
    try {
      const { body, from } = await bodyFrom(hub, url, file, got)
      got = from
      await readBody(body, hub.stallMs ?? 30_000, (piece) => {
        got = take(got, piece)
      })
      if (got < size) throw new Error(`${got} of ${size} bytes came`)
    } catch (cause) {
      failures = got > before ? 1 : failures + 1
      if (signal?.aborted) throw new GraftError({ code: 'aborted', culprit: url, message: `${url}: aborted`, cause })
      if (isGraftError(cause) && cause.code !== 'busy') throw cause
      if (failures > retries) throw isGraftError(cause) ? cause : broken(url, cause as Error)
      await new Promise((done) => setTimeout(done, 25 * 4 ** (failures - 1)))
    }
  }
  const hash = await hashOf(bytes, etag.length)
  if (hash !== etag) throw refused(url, 'bad-checksum', `${etag.length === 64 ? 'SHA-256' : 'git hash'} ${hash}`, etag)
  return new Blob([bytes])
}

const room = (url: string, size: number): Uint8Array<ArrayBuffer> => {
  try {
    return new Uint8Array(size)
  } catch (cause) {
    const message = `${url}: its ${size} bytes do not fit into memory; on a disk hubFile would do`
    throw new GraftError({ code: 'too-large', culprit: url, message, cause })
  }
}

/** The bytes from `got` on, or, of a server that has no parts, from the first on. The hash tells whether they fit together. */
const bodyFrom = async (
  hub: HubRemote,
  url: string,
  file: string,
  got: number,
): Promise<{ body: ReadableStream<Uint8Array>; from: number }> => {
  const { token, signal, patienceMs, fetch: send = fetch } = hub
  const headers = {
    ...(token && { authorization: `Bearer ${token.value}` }),
    ...(got > 0 && { range: `bytes=${got}-` }),
  }
  const late = new AbortController()
  const timer = setTimeout(() => late.abort(new Error(`no answer within ${patienceMs / 1000} s`)), patienceMs)
  try {
    const response = await send(url, { headers, signal: signal ? AbortSignal.any([signal, late.signal]) : late.signal })
    const { status, body } = response
    if (body && status === 200) return { body, from: 0 }
    if (body && status === 206 && got > 0) return { body, from: got }
    await body?.cancel()
    throw hubFault(hub, file, { status, named: (name) => response.headers.get(name) })
  } finally {
    clearTimeout(timer)
  }
}

const hashOf = async (bytes: Uint8Array<ArrayBuffer>, digits: number): Promise<string> => {
  const git = digits === 40
  const text = git ? await new Blob([`blob ${bytes.byteLength}\0`, bytes]).arrayBuffer() : bytes
  const hash = new Uint8Array(await crypto.subtle.digest(git ? 'SHA-1' : 'SHA-256', text))
  return [...hash].map((byte) => byte.toString(16).padStart(2, '0')).join('')
}

const refused = (culprit: string, code: string, given: string, expected: string): GraftError =>
  new GraftError({ code, culprit, given, expected })

const broken = (url: string, cause: Error): GraftError =>
  new GraftError({ code: 'broken', culprit: url, message: `${url}: the connection broke (${reason(cause)})`, cause })
