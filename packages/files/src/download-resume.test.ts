import { createHash } from 'node:crypto'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import type { ServerResponse } from 'node:http'
import { gzipSync } from 'node:zlib'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { type DownloadOptions, download } from './download.ts'
import { faultOf, filesIn, inFolder, seeded } from './files.test-util.ts'
import { type Handler, type Loopback, loopback, serve } from './loopback.test-util.ts'

const random = seeded(7)
const bytes = Uint8Array.from({ length: 300_000 }, () => random(256))
const hashOf = (of: Uint8Array): string => createHash('sha256').update(of).digest('hex')
const sha256 = hashOf(bytes)

const servers: Loopback[] = []
const start = async (handle: Handler): Promise<Loopback> => {
  const server = await loopback(handle)
  servers.push(server)
  return server
}
afterEach(async () => {
  for (const server of servers.splice(0)) await server.close()
})

/** Downloads to `dir`/f, with short waits. */
const get = (dir: string, url: string, more: Partial<DownloadOptions> = {}): Promise<string> =>
  download({ url, file: `${dir}/f`, patienceMs: 2000, stallMs: 2000, ...more })
/** Where the last request went on. What had come and was not read when the line broke is asked for again. */
const resumedAt = ({ requests }: Loopback): number => Number(/\d+/.exec(requests.at(-1)?.range ?? '0')?.[0])
const redirect = (response: ServerResponse, location: string, headers = {}): void =>
  void response.writeHead(302, { location, ...headers }).end()

describe('a connection that breaks', () => {
  test.each([1, 25, 50, 75, 99])('at %i %: the rest is fetched in the same call', async (percent) => {
    const cutAfter = Math.floor((bytes.length * percent) / 100)
    const server = await start((request, response, count) =>
      serve(request, response, bytes, { cutAfter: count === 1 ? cutAfter : undefined }),
    )
    await inFolder(async (dir) => {
      await get(dir, server.url(), { sha256 })
      expect(server.requests).toHaveLength(2)
      expect(resumedAt(server)).toBeLessThanOrEqual(cutAfter)
      if (server.requests[1]?.range) expect(server.requests[1]['if-range']).toBe('"v1"')
      expect(hashOf(await readFile(`${dir}/f`))).toBe(sha256)
      expect(await filesIn(dir)).toEqual(['f'])
    })
  })

  test('in every piece: each brings some, so it goes on', async () => {
    const server = await start((request, response) => serve(request, response, bytes, { cutAfter: 60_000 }))
    await inFolder(async (dir) => {
      await get(dir, server.url(), { sha256, retries: 3 })
      expect(server.requests.length).toBeGreaterThanOrEqual(5)
    })
  })

  test('for good: the bytes stay, and the next call goes on with them', async () => {
    let up = true
    const server = await start((request, response, count) => {
      if (up) serve(request, response, bytes, { cutAfter: count === 1 ? 100_000 : undefined })
      else response.destroy()
      up = false
    })
    await inFolder(async (dir) => {
      const fault = await faultOf(() => get(dir, server.url(), { retries: 1 }))
      expect(fault.message).toContain(server.url())
      expect(await readdir(dir)).toEqual([expect.stringMatching(/^f\..*\.incomplete$/)])
      up = true
      await get(dir, server.url(), { sha256 })
      expect(resumedAt(server)).toBeGreaterThan(0)
      expect(resumedAt(server)).toBeLessThanOrEqual(100_000)
      expect(await filesIn(dir)).toEqual(['f'])
    })
  })

  test('of another url to the same file: its bytes are not taken', async () => {
    let up = true
    const server = await start((request, response) => {
      serve(request, response, bytes, { cutAfter: up ? 100_000 : undefined })
      up = false
    })
    await inFolder(async (dir) => {
      await faultOf(() => get(dir, server.url('/one'), { retries: 0 }))
      await get(dir, server.url('/two'), { sha256 })
      expect(server.requests.at(-1)?.range).toBeUndefined()
    })
  })

  test('of a process that is gone: its bytes are taken, of one that lives they are not', async () => {
    const server = await start((request, response) => serve(request, response, bytes))
    await inFolder(async (dir) => {
      const key = createHash('sha256').update(server.url()).digest('hex').slice(0, 12)
      const etag = Buffer.from('"v1"').toString('hex')
      // The parent of a test process lives; no process has the number 2^22.
      const alive = `f.${process.ppid}-0-${key}-${etag}.incomplete`
      await writeFile(`${dir}/${alive}`, bytes.subarray(0, 5))
      await writeFile(`${dir}/f.4194304-0-${key}-${etag}.incomplete`, bytes.subarray(0, 1000))
      await writeFile(`${dir}/f.4194304-1-${key}-${etag}.incomplete`, bytes.subarray(0, 500))
      await get(dir, server.url(), { sha256 })
      expect(server.requests[0]?.range).toBe('bytes=1000-')
      expect(await filesIn(dir)).toEqual(['f', alive])
    })
  })

  test('and a file that changed in between: from the start', async () => {
    const other = bytes.toReversed()
    const server = await start((request, response, count) =>
      count === 1
        ? serve(request, response, bytes, { cutAfter: 100_000 })
        : serve(request, response, other, { etag: '"v2"' }),
    )
    await inFolder(async (dir) => {
      expect(await get(dir, server.url())).toBe(hashOf(other))
      expect(hashOf(await readFile(`${dir}/f`))).toBe(hashOf(other))
    })
  })

  test.each<[string, Handler]>([
    ['200 for a range', (request, response) => serve({ ...request, headers: {} } as typeof request, response, bytes)],
    [
      'another part than it was asked for',
      ({ headers }, response) =>
        headers.range
          ? response.writeHead(206, { etag: '"v1"', 'content-range': `bytes 7-299999/300000` }).end(bytes.subarray(7))
          : response.writeHead(200, { etag: '"v1"' }).end(bytes),
    ],
    [
      'a part of another file',
      ({ headers }, response) =>
        headers.range
          ? response
              .writeHead(206, { etag: '"v2"', 'content-range': 'bytes 100000-299999/300000' })
              .end(bytes.subarray(0, 200_000))
          : response.writeHead(200, { etag: '"v2"' }).end(bytes),
    ],
    [
      'a part without saying which',
      ({ headers }, response) => response.writeHead(headers.range ? 206 : 200, { etag: '"v1"' }).end(bytes),
    ],
    [
      'that there is no such part',
      ({ headers }, response) => response.writeHead(headers.range ? 416 : 200, { etag: '"v1"' }).end(bytes),
    ],
  ])('and a server that answers %s: from the start', async (_, then) => {
    const server = await start((request, response, count) =>
      count === 1 ? serve(request, response, bytes, { cutAfter: 100_000 }) : then(request, response, count),
    )
    await inFolder(async (dir) => {
      expect(await get(dir, server.url())).toBe(sha256)
      expect(hashOf(await readFile(`${dir}/f`))).toBe(sha256)
    })
  })

  test.each([undefined, 'W/"v1"', `"${'x'.repeat(100)}"`])('and an etag %s: from the start', async (etag) => {
    const server = await start((_, response, count) => {
      response.writeHead(200, { 'content-length': bytes.length, ...(etag && { etag }) })
      if (count > 1) response.end(bytes)
      else response.write(bytes.subarray(0, 1000), () => setTimeout(() => response.destroy(), 20))
    })
    await inFolder(async (dir) => {
      await get(dir, server.url(), { sha256 })
      expect(server.requests[1]?.range).toBeUndefined()
    })
  })

  test('by parts that end early, each by the book: the rest is fetched', async () => {
    const server = await start((request, response, count) => {
      if (count === 1) return serve(request, response, bytes, { cutAfter: 100_000 })
      const from = Number(/\d+/.exec(request.headers.range ?? '')?.[0])
      const to = Math.min(from + 70_000, bytes.length)
      response.writeHead(206, { etag: '"v1"', 'content-range': `bytes ${from}-${to - 1}/${bytes.length}` })
      response.end(bytes.subarray(from, to))
    })
    await inFolder(async (dir) => {
      await get(dir, server.url(), { sha256 })
      expect(server.requests.length).toBeGreaterThanOrEqual(4)
    })
  })

  test('by silence', async () => {
    const server = await start((request, response, count) => {
      if (count > 1) return serve(request, response, bytes)
      response.writeHead(200, { etag: '"v1"', 'content-length': bytes.length })
      response.write(bytes.subarray(0, 1000))
    })
    await inFolder(async (dir) => {
      await get(dir, server.url(), { sha256, stallMs: 200 })
      expect(server.requests[1]?.range).toBe('bytes=1000-')
    })
  })

  test('by silence, for good', async () => {
    const server = await start((_, response) => {
      response.writeHead(200, { 'content-length': 10 })
      response.write('a')
    })
    await inFolder(async (dir) => {
      const fault = await faultOf(() => get(dir, server.url(), { stallMs: 100, retries: 0 }))
      expect(fault.message).toMatch(/the connection broke \(no byte for 0\.1 s\)$/)
    })
  })
})

describe('what must not be believed', () => {
  test('a flipped byte: refused, nothing kept', async () => {
    const flipped = Uint8Array.from(bytes)
    flipped[1234]! ^= 1
    const server = await start((request, response) => serve(request, response, flipped))
    await inFolder(async (dir) => {
      await writeFile(`${dir}/f`, 'old')
      const fault = await faultOf(() => get(dir, server.url(), { sha256 }))
      expect(fault).toMatchObject({ code: 'bad-checksum', expected: sha256 })
      expect(await readFile(`${dir}/f`, 'utf8')).toBe('old')
      expect(await filesIn(dir)).toEqual(['f'])
    })
  })

  test('the git hash', async () => {
    // git hash-object of a file that holds "hello\n"
    const gitHash = 'ce013625030ba8dba906f756967f9e9ca394464a'
    const server = await start(({ url }, response) => response.end(url === '/right' ? 'hello\n' : 'hellO\n'))
    await inFolder(async (dir) => {
      await get(dir, server.url('/right'), { gitHash })
      const fault = await faultOf(() => get(dir, server.url('/wrong'), { gitHash }))
      expect(fault).toMatchObject({ code: 'bad-checksum', expected: gitHash })
    })
  })

  test('another size than was asked for: said in advance, or come to', async () => {
    const server = await start((request, response) =>
      request.url === '/said' ? serve(request, response, bytes) : void (response.write(bytes), response.end()),
    )
    await inFolder(async (dir) => {
      for (const path of ['/said', '/unsaid'])
        for (const size of [bytes.length - 1, bytes.length + 1]) {
          const fault = await faultOf(() => get(dir, server.url(path), { size }))
          expect(fault).toMatchObject({ code: 'bad-size', expected: `${size}` })
        }
      expect(await filesIn(dir)).toEqual([])
    })
  })

  test('what came whole and was not renamed: checked, not asked for again', async () => {
    const server = await start((_, response) => response.destroy())
    await inFolder(async (dir) => {
      const key = createHash('sha256').update(server.url()).digest('hex').slice(0, 12)
      const left = `${dir}/f.4194304-0-${key}-${Buffer.from('"v1"').toString('hex')}.incomplete`
      await writeFile(left, bytes)
      await get(dir, server.url(), { sha256, size: bytes.length })
      expect(hashOf(await readFile(`${dir}/f`))).toBe(sha256)
      expect(server.requests).toEqual([])
    })
  })

  test('a size beyond the cap: said in advance, or come to', async () => {
    const server = await start((request, response) =>
      request.url === '/said' ? serve(request, response, bytes) : void (response.write(bytes), response.end()),
    )
    await inFolder(async (dir) => {
      for (const path of ['/said', '/unsaid']) {
        const fault = await faultOf(() => get(dir, server.url(path), { maxBytes: 1000 }))
        expect(fault).toMatchObject({ code: 'too-large', expected: 'at most 1000' })
      }
      expect(await filesIn(dir)).toEqual([])
    })
  })

  test('compressed on the way: read all the same, sizes and etags not counted on', async () => {
    const server = await start((_, response) => {
      const packed = gzipSync(bytes)
      response.writeHead(200, { 'content-encoding': 'gzip', 'content-length': packed.length, etag: '"v1"' }).end(packed)
    })
    await inFolder(async (dir) => {
      await get(dir, server.url(), { sha256 })
      expect(server.requests[0]?.['accept-encoding']).toBe('identity')
    })
  })
})

describe('redirects', () => {
  test('the token goes to the first origin and no other', async () => {
    const far = await start((request, response) => serve(request, response, bytes))
    const near = await start((request, response) =>
      request.url === '/start' ? redirect(response, '/next') : redirect(response, far.url('/file', 'localhost')),
    )
    await inFolder(async (dir) => {
      await get(dir, near.url('/start'), { sha256, token: 'secret' })
      expect(near.requests.map(({ authorization }) => authorization)).toEqual(['Bearer secret', 'Bearer secret'])
      expect(far.requests.map(({ authorization }) => authorization)).toEqual([undefined])
    })
  })

  test('nor to another port of it', async () => {
    const far = await start((request, response) => serve(request, response, bytes))
    const near = await start((_, response) => redirect(response, far.url()))
    await inFolder(async (dir) => {
      await get(dir, near.url(), { sha256, token: 'secret' })
      expect(far.requests[0]?.authorization).toBeUndefined()
    })
  })

  test('nor to it again, once a redirect has left it', async () => {
    let near = ''
    const far = await start((_, response) => redirect(response, near))
    const server = await start((request, response) =>
      request.url === '/start' ? redirect(response, far.url()) : serve(request, response, bytes),
    )
    near = server.url('/back')
    await inFolder(async (dir) => {
      await get(dir, server.url('/start'), { sha256, token: 'secret' })
      expect(server.requests.map(({ authorization }) => authorization)).toEqual(['Bearer secret', undefined])
      expect(far.requests.map(({ authorization }) => authorization)).toEqual([undefined])
    })
  })

  test('no token in what an error says', async () => {
    const server = await start((_, response) => response.writeHead(401).end())
    await inFolder(async (dir) => {
      const fault = await faultOf(() => get(dir, server.url(), { token: 'secret' }))
      expect(fault).toMatchObject({ code: 'bad-status', given: 'status 401' })
      expect(JSON.stringify([fault, fault.message, fault.stack])).not.toContain('secret')
    })
  })

  test('without end', async () => {
    const server = await start((_, response) => redirect(response, '/again'))
    await inFolder(async (dir) => {
      const fault = await faultOf(() => get(dir, server.url()))
      expect(fault.message).toContain('more than 5 redirects')
      expect(server.requests).toHaveLength(6)
    })
  })

  test('from https to http: refused', async () => {
    vi.stubGlobal('fetch', async (url: URL) =>
      url.protocol === 'https:'
        ? new Response(null, { status: 302, headers: { location: 'http://127.0.0.1/x' } })
        : new Response('text'),
    )
    try {
      await inFolder(async (dir) => {
        const fault = await faultOf(() => get(dir, 'https://127.0.0.1/x'))
        expect(fault.given).toBe('a redirect from https: to http:')
      })
    } finally {
      vi.unstubAllGlobals()
    }
  })

  test.each(['file:///etc/hostname', 'ftp://127.0.0.1/x', 'http://'])('to %s: refused', async (location) => {
    const server = await start((_, response) => redirect(response, location))
    await inFolder(async (dir) => {
      expect((await faultOf(() => get(dir, server.url(), { retries: 0 }))).code).toMatch(
        /^(bad-redirect|no-connection)$/,
      )
      expect(await filesIn(dir)).toEqual([])
    })
  })
})
