import { describe, expect, test, vi } from 'vitest'
import { faultOf } from '../files.test-util.ts'
import { serve } from '../loopback.test-util.ts'
import { type HubStore, hubBlob } from './hub-blob.ts'
import { config, type HubCase, weights, withHub } from './hub-case.test-util.ts'
import { opfsStore } from './opfs-store.ts'

const repo = 'owner/name'
const bytesOf = async (blob: Blob): Promise<Uint8Array> => new Uint8Array(await blob.arrayBuffer())

const mapStore = (): HubStore & { readonly kept: Map<string, Blob> } => {
  const kept = new Map<string, Blob>()
  return {
    kept,
    get: async (name) => kept.get(name),
    put: async (name, blob) => {
      kept.set(name, blob)
    },
  }
}

/** Puts `far` where the large file lies; true for the first request of a call. */
const store = ({ stub }: HubCase, far: (...of: [...Parameters<typeof serve>, first: boolean]) => void): void => {
  let first = true
  stub.intercept = (request, response) => {
    if (!request.headers.host?.startsWith('localhost')) return false
    far(request, response, weights, {}, first)
    first = false
    return true
  }
}

describe('a file in memory', () => {
  test('large and small, and then from the store', () =>
    withHub(async ({ at, asked, stub }) => {
      const kept = mapStore()
      const { commit, blob } = await hubBlob(repo, 'model.safetensors', { ...at, store: kept })
      expect(commit).toBe(stub.refs.main)
      expect(await bytesOf(blob)).toEqual(weights)
      const small = await hubBlob(repo, 'config.json', { ...at, store: kept })
      expect(await bytesOf(small.blob)).toEqual(config)
      expect([...kept.kept.keys()]).toEqual([
        `models--owner--name/snapshots/${commit}/model.safetensors`,
        'models--owner--name/refs/main',
        `models--owner--name/snapshots/${commit}/config.json`,
      ])
      asked()
      await hubBlob(repo, 'config.json', { ...at, store: kept, revision: commit })
      expect(asked()).toEqual([])
      const again = await hubBlob(repo, 'config.json', { ...at, store: kept, endpoint: 'http://127.0.0.1:9' })
      expect(again).toEqual(small)
    }))

  test('without a disk and without an environment', () =>
    withHub(async ({ at, stub }) => {
      const { endpoint } = stub
      vi.stubGlobal('process', undefined)
      try {
        const { blob } = await hubBlob(repo, 'model.safetensors', { ...at, endpoint })
        expect(await bytesOf(blob)).toEqual(weights)
      } finally {
        vi.unstubAllGlobals()
      }
    }))

  test('a connection that breaks: the rest, or, of a server without parts, the whole', () =>
    withHub(async (of) => {
      for (const parts of [true, false]) {
        store(of, (request, response, bytes, _, first) => {
          const asked = parts ? request : ({ headers: {} } as typeof request)
          serve(asked, response, bytes, { cutAfter: first ? 70_000 : undefined })
        })
        const seen: number[] = []
        const { blob } = await hubBlob(repo, 'model.safetensors', { ...of.at, onProgress: (got) => seen.push(got) })
        expect(await bytesOf(blob)).toEqual(weights)
        expect(of.stub.far.at(-1)?.range).toMatch(/^bytes=\d{1,5}-$/)
        expect(seen.at(-1)).toBe(weights.length)
      }
    }))

  test.each<[string, Parameters<typeof store>[1]]>([
    ['bad-checksum', (request, response, bytes) => serve(request, response, bytes.toReversed())],
    [
      'bad-checksum',
      (request, response, bytes, _, first) =>
        serve(request, response, first ? bytes.toReversed() : bytes, { cutAfter: first ? 70_000 : undefined }),
    ],
    ['bad-size', (_, response, bytes) => response.end(Buffer.concat([bytes, bytes]))],
    ['broken', (_, response, bytes) => response.end(bytes.subarray(1))],
    ['broken', (_, response) => response.destroy()],
    ['busy', (_, response) => response.writeHead(503).end()],
    ['bad-status', (_, response) => response.writeHead(418).end()],
  ])('%s: nothing is stored', (code, far) =>
    withHub(async (of) => {
      store(of, far)
      const kept = mapStore()
      const fault = await faultOf(() => hubBlob(repo, 'model.safetensors', { ...of.at, store: kept, retries: 1 }))
      expect(fault.code).toBe(code)
      expect(kept.kept.size).toBe(0)
    }),
  )

  test('the token stays with the hub', () =>
    withHub(async ({ at, stub }) => {
      await hubBlob(repo, 'model.safetensors', { ...at, token: 'secret' })
      expect(stub.far.map(({ authorization }) => authorization)).toEqual([undefined])
      const near = stub.requests.filter((request) => !stub.far.includes(request))
      expect(near.map(({ authorization }) => authorization)).toEqual(Array(3).fill('Bearer secret'))
    }))

  test('a file that is not there, a name that leads out, an abort', () =>
    withHub(async ({ at, stub }) => {
      expect((await faultOf(() => hubBlob(repo, 'none.json', at))).code).toBe('no-such-file')
      expect((await faultOf(() => hubBlob(repo, '../x', at))).code).toBe('bad-option')
      stub.intercept = (request, response) => {
        if (!request.headers.host?.startsWith('localhost')) return false
        response.writeHead(200).write('some')
        return true
      }
      const stop = new AbortController()
      const options = { ...at, signal: stop.signal, onProgress: () => stop.abort() }
      expect((await faultOf(() => hubBlob(repo, 'model.safetensors', options))).code).toBe('aborted')
    }))
})

/** As much of the origin's private file system as the store needs: a file takes its bytes as its stream is closed. */
const fakeRoot = (files: Map<string, Blob>, fails = false): FileSystemDirectoryHandle => {
  const dir = {
    getDirectoryHandle: async () => dir,
    getFileHandle: async (name: string, { create = false } = {}) => {
      if (name.includes('/')) throw new TypeError('Name is not allowed.')
      if (!files.has(name) && !create) throw new DOMException('A requested file was not found.', 'NotFoundError')
      if (!files.has(name)) files.set(name, new Blob())
      let written = new Blob()
      return {
        getFile: async () => files.get(name),
        createWritable: async () => ({
          write: async (blob: Blob) => {
            if (fails) throw new DOMException('No space.', 'QuotaExceededError')
            written = blob
          },
          close: async () => files.set(name, written),
          abort: async () => {},
        }),
      }
    },
  }
  return dir as unknown as FileSystemDirectoryHandle
}

describe('opfsStore', () => {
  test('keeps what was written whole, under any name', async () => {
    const files = new Map<string, Blob>()
    const kept = opfsStore('models', fakeRoot(files))
    expect(await kept.get('a/b')).toBeUndefined()
    await kept.put('a/b', new Blob(['text']))
    expect(await (await kept.get('a/b'))?.text()).toBe('text')
    expect([...files.keys()]).toEqual(['a%2Fb'])
  })

  test('a write that failed leaves nothing to take for the file', async () => {
    const files = new Map<string, Blob>()
    const full = opfsStore('models', fakeRoot(files, true))
    const fault = await faultOf(() => full.put('a', new Blob(['text'])))
    expect(fault).toMatchObject({ code: 'write-failed', culprit: 'a' })
    expect(fault.message).toContain('No space')
    expect(await opfsStore('models', fakeRoot(files)).get('a')).toBeUndefined()
  })
})
