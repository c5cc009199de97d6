import { createHash } from 'node:crypto'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { gzipSync } from 'node:zlib'
import { afterEach, describe, expect, test } from 'vitest'
import { type DownloadOptions, download } from './download.ts'
import { faultOf, filesIn, inFolder, seeded } from './files.test-util.ts'
import { type Handler, type Loopback, loopback, serve } from './loopback.test-util.ts'

const random = seeded(7)
const bytes = Uint8Array.from({ length: 300_000 }, () => random(256))
const sha = (of: Uint8Array): string => createHash('sha256').update(of).digest('hex')
const sha256 = sha(bytes)

const servers: Loopback[] = []
const start = async (handle: Handler): Promise<Loopback> => {
  const server = await loopback(handle)
  servers.push(server)
  return server
}
afterEach(async () => {
  for (const server of servers.splice(0)) await server.close()
})

/** Downloads to `dir`/f; short waits, so that nothing takes long. */
const get = (dir: string, url: string, more: Partial<DownloadOptions> = {}): Promise<string> =>
  download({ url, file: `${dir}/f`, patienceMs: 2000, stallMs: 2000, ...more })

describe('a whole file', () => {
  test('arrives with its SHA-256, progress and nothing beside it', async () => {
    const server = await start((request, response) => serve(request, response, bytes))
    await inFolder(async (dir) => {
      const seen: [number, number | undefined][] = []
      const onProgress = (...args: [number, number | undefined]) => void seen.push(args)
      expect(await download({ url: server.url(), file: `${dir}/deep/er/f`, sha256, onProgress })).toBe(sha256)
      expect(Buffer.from(bytes).equals(await readFile(`${dir}/deep/er/f`))).toBe(true)
      expect(await filesIn(`${dir}/deep/er`)).toEqual(['f'])
      expect(seen.at(-1)).toEqual([bytes.length, bytes.length])
      expect(server.requests[0]?.['accept-encoding']).toBe('identity')
    })
  })

  test('of no length, and without a length', async () => {
    const server = await start(({ url }, response) => response.end(url === '/empty' ? '' : undefined))
    const chunked = await start((_, response) => {
      response.write(bytes.subarray(0, 1000))
      response.end(bytes.subarray(1000))
    })
    await inFolder(async (dir) => {
      await get(dir, server.url('/empty'))
      expect(await readFile(`${dir}/f`)).toHaveLength(0)
      await get(dir, chunked.url(), { sha256 })
    })
  })

  test('compressed on the way all the same', async () => {
    const server = await start((_, response) => {
      const packed = gzipSync(bytes)
      response.writeHead(200, { 'content-encoding': 'gzip', 'content-length': packed.length, etag: '"v1"' })
      response.end(packed)
    })
    await inFolder(async (dir) => {
      await get(dir, server.url(), { sha256 })
    })
  })
})

describe('a connection that breaks', () => {
  for (const percent of [1, 25, 50, 75, 99])
    test(`at ${percent} %: the rest is fetched in the same call`, async () => {
      const cutAfter = Math.floor((bytes.length * percent) / 100)
      const server = await start((request, response, count) =>
        serve(request, response, bytes, { cutAfter: count === 1 ? cutAfter : undefined }),
      )
      await inFolder(async (dir) => {
        await get(dir, server.url(), { sha256 })
        expect(server.requests).toHaveLength(2)
        expect(server.requests[1]).toMatchObject({ range: `bytes=${cutAfter}-`, 'if-range': '"v1"' })
        expect(await filesIn(dir)).toEqual(['f'])
      })
    })

  test('again and again: given up, the bytes kept, taken up by the next call', async () => {
    const server = await start((request, response, count) =>
      serve(request, response, bytes, { cutAfter: count <= 2 ? 100_000 : undefined }),
    )
    await inFolder(async (dir) => {
      const fault = await faultOf(() => get(dir, server.url(), { retries: 1 }).catch(async (e) => {
        // The second connection brought bytes as well, so one more was tried; here that is forbidden.
        throw e
      }))
      expect(fault.code).toBe('broken')
    })
  })
})
