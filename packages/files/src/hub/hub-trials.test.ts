import { readdir, readFile } from 'node:fs/promises'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { gzipSync } from 'node:zlib'
import { describe, expect, test, vi } from 'vitest'
import { faultOf } from '../files.test-util.ts'
import { loopback, serve } from '../loopback.test-util.ts'
import { config, type HubCase, weights, withHub } from './hub-case.test-util.ts'
import { hubFile } from './hub-file.ts'
import { sha256 } from './hub-stub.test-util.ts'

const repo = 'owner/name'
const percents = Array.from({ length: 19 }, (_, i) => 5 * (i + 1))
const at = (percent: number): number => Math.floor((weights.length * percent) / 100)
const flipped = (where: number): Uint8Array => weights.map((byte, i) => (i === where ? byte ^ 1 : byte))

type Far = (request: IncomingMessage, response: ServerResponse, count: number) => void

/** Puts `far` where the large file lies. */
const store = ({ stub }: HubCase, far: Far): void => {
  let count = 0
  stub.intercept = (request, response) => {
    if (!request.headers.host?.startsWith('localhost')) return false
    far(request, response, ++count)
    return true
  }
}

/** Where the last request went on. What had come and was not read when the line broke is asked for again. */
const resumedAt = ({ stub }: HubCase): number => Number(/\d+/.exec(stub.far.at(-1)?.range ?? '0')?.[0])

/** The whole file under its name and its hash, and nothing else. */
const expectRight = async (of: HubCase): Promise<void> => {
  const { path } = await hubFile(repo, 'model.safetensors', of.at)
  expect((await readFile(path)).equals(weights)).toBe(true)
  expect(await readdir(`${of.cacheDir}/models--owner--name/blobs`)).toEqual([sha256(weights)])
}

/** An error, and no file under any name that a reader would take. */
const expectRefused = async (of: HubCase, code: string): Promise<void> => {
  expect((await faultOf(() => hubFile(repo, 'model.safetensors', of.at))).code).toBe(code)
  const folder = `${of.cacheDir}/models--owner--name`
  const blobs = await readdir(`${folder}/blobs`)
  expect(blobs.filter((name) => !name.endsWith('.incomplete'))).toEqual([])
  expect(await readdir(`${folder}/snapshots`).catch(() => [])).toEqual([])
  expect(await readdir(`${folder}/refs`).catch(() => [])).toEqual([])
}

describe('show 6: the right file or a clear error', () => {
  test.each(percents)('cut at %i percent: the rest, from there on', (percent) =>
    withHub(async (of) => {
      store(of, (request, response, count) =>
        serve(request, response, weights, { etag: '"s"', cutAfter: count === 1 ? at(percent) : undefined }),
      )
      await expectRight(of)
      expect(of.stub.far).toHaveLength(2)
      expect(resumedAt(of)).toBeLessThanOrEqual(at(percent))
    }),
  )

  test('cut at every 5 %, in one call', () =>
    withHub(async (of) => {
      store(of, (request, response) => serve(request, response, weights, { etag: '"s"', cutAfter: at(5) }))
      of.at = { ...of.at, retries: 9 }
      await expectRight(of)
      expect(of.stub.far.length).toBeGreaterThanOrEqual(20)
    }))

  test.each([0, 50, 100])('a byte flipped at %i percent', (percent) =>
    withHub(async (of) => {
      const bytes = flipped(Math.min(at(percent), weights.length - 1))
      store(of, (request, response) => serve(request, response, bytes, { etag: '"s"' }))
      await expectRefused(of, 'bad-checksum')
      // Nothing of it is gone on with.
      of.stub.intercept = () => false
      await expectRight(of)
    }),
  )

  test.each([5, 50, 95])('another file from %i percent on, which says so', (percent) =>
    withHub(async (of) => {
      store(of, (request, response, count) =>
        count === 1
          ? serve(request, response, flipped(7), { etag: '"old"', cutAfter: at(percent) })
          : serve(request, response, weights, { etag: '"new"' }),
      )
      await expectRight(of)
    }),
  )

  test.each([5, 50, 95])('another file from %i percent on, under the same etag', (percent) =>
    withHub(async (of) => {
      store(of, (request, response, count) =>
        serve(request, response, count === 1 ? flipped(7) : weights, {
          etag: '"same"',
          cutAfter: count === 1 ? at(percent) : undefined,
        }),
      )
      await expectRefused(of, 'bad-checksum')
    }),
  )

  test('a file in place of the one that the hub named', () =>
    withHub(async (of) => {
      store(of, (request, response) => serve(request, response, weights.toReversed()))
      await expectRefused(of, 'bad-checksum')
      store(of, (request, response) => serve(request, response, weights.subarray(1)))
      await expectRefused(of, 'bad-size')
      store(of, (_, response) => response.end(weights.subarray(1)))
      await expectRefused(of, 'bad-size')
    }))

  test('a small file with a flipped byte', () =>
    withHub(async ({ stub, at: options, cacheDir }) => {
      stub.intercept = (request, response) => {
        if (request.method === 'HEAD') return false
        serve(
          request,
          response,
          config.map((byte, i) => (i === 3 ? byte ^ 4 : byte)),
        )
        return true
      }
      expect((await faultOf(() => hubFile(repo, 'config.json', options))).code).toBe('bad-checksum')
      expect(await readdir(`${cacheDir}/models--owner--name/blobs`)).toEqual([])
    }))

  test.each([5, 50, 95])('200 in place of a range, cut at %i percent before', (percent) =>
    withHub(async (of) => {
      store(of, (request, response, count) =>
        count === 1
          ? serve(request, response, weights, { etag: '"s"', cutAfter: at(percent) })
          : serve({ ...request, headers: {} } as IncomingMessage, response, weights, { etag: '"s"' }),
      )
      await expectRight(of)
    }),
  )

  test('gzip, though it was not asked for', () =>
    withHub(async (of) => {
      const packed = gzipSync(weights)
      store(of, (_, response, count) => {
        response.writeHead(200, { 'content-encoding': 'gzip', 'content-length': packed.length, etag: '"s"' })
        if (count > 1) response.end(packed)
        else response.write(packed.subarray(0, 100_000), () => setTimeout(() => response.destroy(), 20))
      })
      await expectRight(of)
    }))

  test('gzip of another file', () =>
    withHub(async (of) => {
      store(of, (_, response) => response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync(flipped(9))))
      await expectRefused(of, 'bad-checksum')
    }))

  test('a line that breaks for good: an error, and the next call goes on', () =>
    withHub(async (of) => {
      store(of, (request, response, count) =>
        count === 1 ? serve(request, response, weights, { etag: '"s"', cutAfter: at(50) }) : response.destroy(),
      )
      await expectRefused(of, 'no-connection')
      store(of, (request, response) => serve(request, response, weights, { etag: '"s"' }))
      await expectRight(of)
      expect(resumedAt(of)).toBeLessThanOrEqual(at(50))
      expect(resumedAt(of)).toBeGreaterThan(0)
    }))
})

describe('the token', () => {
  test('goes to the hub alone, not to where a file lies', () =>
    withHub(async (of) => {
      vi.stubEnv('HF_TOKEN', 'secret')
      await expectRight(of)
      const { far, requests } = of.stub
      expect(far.map(({ authorization }) => authorization)).toEqual([undefined])
      const near = requests.filter((request) => !far.includes(request))
      expect(near.map(({ authorization }) => authorization)).toEqual(['Bearer secret', 'Bearer secret'])
    }))

  test('of the environment does not go to another endpoint, one that is given for it does', () =>
    withHub(async ({ stub, at: options }) => {
      vi.stubEnv('HF_TOKEN', 'secret')
      vi.stubEnv('HF_ENDPOINT', 'https://hub.test')
      const endpoint = stub.endpoint
      await hubFile(repo, 'config.json', { ...options, endpoint })
      await hubFile(repo, 'config.json', { ...options, endpoint, token: 'other' })
      await hubFile(repo, 'config.json', { ...options, endpoint, token: false })
      expect(stub.requests.map(({ authorization }) => authorization)).toEqual([
        undefined,
        undefined,
        'Bearer other',
        undefined,
      ])
    }))

  test('does not go along when the hub itself has moved', () =>
    withHub(async ({ stub, at: options }) => {
      const before = await loopback((request, response) => {
        response.writeHead(307, { location: stub.endpoint + request.url }).end()
      })
      try {
        await hubFile(repo, 'config.json', { ...options, endpoint: before.url(''), token: 'secret' })
        expect(before.requests.every(({ authorization }) => authorization === 'Bearer secret')).toBe(true)
        expect(stub.requests.map(({ authorization }) => authorization)).toEqual([undefined, undefined])
      } finally {
        await before.close()
      }
    }))

  test('is in no error, whatever goes wrong', () =>
    withHub(async (of) => {
      vi.stubEnv('HF_TOKEN', 'secret')
      const faults = [
        (_: IncomingMessage, response: ServerResponse) => response.destroy(),
        (_: IncomingMessage, response: ServerResponse) => response.writeHead(401).end(),
        (_: IncomingMessage, response: ServerResponse) => response.writeHead(302, { location: 'ftp://x/y' }).end(),
        (request: IncomingMessage, response: ServerResponse) => serve(request, response, flipped(3)),
      ]
      for (const fault of faults) {
        of.stub.intercept = (request, response) => {
          fault(request, response)
          return true
        }
        const error = await faultOf(() => hubFile(repo, 'model.safetensors', of.at))
        expect(JSON.stringify([error, error.message, error.stack, String(error.cause)])).not.toContain('secret')
      }
    }))
})

test('a branch that moves between the question and the bytes: the file of the commit that was named', () =>
  withHub(async (of) => {
    const { stub, at: options } = of
    const first = stub.refs.main
    stub.intercept = (request) => {
      if (request.method === 'HEAD') setTimeout(() => (stub.refs.main = 'f'.repeat(40)), 0)
      return false
    }
    const { commit, path } = await hubFile(repo, 'config.json', options)
    expect(commit).toBe(first)
    expect((await readFile(path)).equals(config)).toBe(true)
  }))
