import { createHash } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { type Loopback, loopback, serve } from '../loopback.test-util.ts'

export interface StubFile {
  readonly bytes: Uint8Array
  /** Lies on another host, as large files do. */
  readonly large?: boolean
}

/** One version of a repository. */
export type StubFiles = Readonly<Record<string, StubFile>>

export interface StubRequest {
  readonly method: string
  readonly path: string
  readonly range: string | undefined
  readonly authorization: string | undefined
}

export interface HubStub {
  readonly endpoint: string
  /** All requests, to the hub and to where large files lie. */
  readonly requests: StubRequest[]
  /** Those to where large files lie. */
  readonly far: StubRequest[]
  /** Takes a request in place of the stub; true if it did. Counts those to the file's bytes. */
  intercept: (request: IncomingMessage, response: ServerResponse, bytes: number) => boolean
  /** What refs name now. */
  readonly refs: Record<string, string>
  commit(of: StubFiles): string
  close(): Promise<void>
}

export const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')
export const gitHash = (bytes: Uint8Array): string =>
  createHash('sha1').update(`blob ${bytes.byteLength}\0`).update(bytes).digest('hex')
const etagOf = ({ bytes, large }: StubFile): string => (large ? sha256(bytes) : gitHash(bytes))

/** A hub on this machine with the repository owner/name: the answers, headers and redirects of the Hugging Face hub. */
export const hubStub = async (main: StubFiles): Promise<HubStub> => {
  const commits = new Map<string, StubFiles>()
  const requests: StubRequest[] = []
  const far: StubRequest[] = []
  let bytes = 0
  const note = ({ method = '', url = '', headers }: IncomingMessage, list: StubRequest[]): void => {
    const { range, authorization } = headers
    const request = { method, path: decodeURIComponent(url.replace(/\?.*/, '')), range, authorization }
    requests.push(request)
    if (list !== requests) list.push(request)
  }
  const blobs = await loopback((request, response) => {
    note(request, far)
    if (stub.intercept(request, response, ++bytes)) return
    const hash = request.url?.slice(1).replace(/\?.*/, '')
    const file = [...commits.values()].flatMap((files) => Object.values(files)).find((f) => etagOf(f) === hash)
    // The store has etags of its own.
    if (file) serve(request, response, file.bytes, { etag: `"store-${hash?.slice(0, 8)}"` })
    else response.writeHead(404).end()
  })
  const hub = await loopback((request, response) => {
    note(request, requests)
    const toBytes = request.method === 'GET' && !request.url?.includes('/api/')
    if (stub.intercept(request, response, toBytes ? ++bytes : 0)) return
    answer(request, response, commits, stub.refs, blobs)
  })
  const stub: HubStub = {
    endpoint: `http://127.0.0.1:${hub.port}`,
    requests,
    far,
    refs: {},
    intercept: () => false,
    commit: (of) => {
      const id = createHash('sha1').update(`${commits.size}`).digest('hex')
      commits.set(id, of)
      return id
    },
    close: async () => {
      await hub.close()
      await blobs.close()
    },
  }
  stub.refs.main = stub.commit(main)
  return stub
}

const answer = (
  request: IncomingMessage,
  response: ServerResponse,
  commits: ReadonlyMap<string, StubFiles>,
  refs: Readonly<Record<string, string>>,
  blobs: Loopback,
): void => {
  const [path = ''] = (request.url ?? '').split('?')
  const api = /^\/api\/models\/owner\/name\/(revision|tree)\/([^/]+)$/.exec(path)
  const resolve = /^\/owner\/name\/resolve\/([^/]+)\/(.+)$/.exec(path)
  const revision = decodeURIComponent(api?.[2] ?? resolve?.[1] ?? '')
  const commit = refs[revision] ?? revision
  const files = commits.get(commit)
  if (!api && !resolve) refuse(response, request.headers.authorization ? 404 : 401, 'RepoNotFound')
  else if (!files) refuse(response, 404, 'RevisionNotFound')
  else if (api?.[1] === 'revision') json(response, { id: 'owner/name', sha: commit })
  else if (api) json(response, Object.entries(files).map(treeEntry))
  else {
    response.setHeader('x-repo-commit', commit)
    const file = files[decodeURIComponent(resolve![2]!)]
    if (!file) refuse(response, 404, 'EntryNotFound')
    else if (file.large) sendOn(response, file, blobs)
    else serve(request, response, file.bytes, { etag: `"${etagOf(file)}"` })
  }
}

const refuse = (response: ServerResponse, status: number, code: string): void => {
  response.writeHead(status, { 'x-error-code': code }).end()
}

/** What the hub says of a large file itself, and where it lies. */
const sendOn = (response: ServerResponse, file: StubFile, blobs: Loopback): void => {
  response.writeHead(302, {
    location: blobs.url(`/${etagOf(file)}?Signature=signed`, 'localhost'),
    'x-linked-etag': `"${etagOf(file)}"`,
    'x-linked-size': file.bytes.byteLength,
    etag: '"of-the-redirect"',
  })
  response.end()
}

const treeEntry = ([path, file]: [string, StubFile]): object => ({
  type: 'file',
  path,
  oid: gitHash(file.bytes),
  size: file.bytes.byteLength,
  ...(file.large && { lfs: { oid: sha256(file.bytes), size: file.bytes.byteLength, pointerSize: 134 } }),
})

const json = (response: ServerResponse, value: unknown): void => {
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(value))
}
