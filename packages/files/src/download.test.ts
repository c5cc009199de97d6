import { createHash } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, expect, test } from 'vitest'
import { faultOf, filesIn, inFolder } from './files.test-util.ts'
import { download, sha256File } from './index.ts'

const bytes = Buffer.from(Uint8Array.from({ length: 300_000 }, (_, i) => (i * i) >> 3))
const sha256 = createHash('sha256').update(bytes).digest('hex')
// Trying again is tested for itself.
const once = { retries: 0 }

/** A server on this machine alone, for as long as `use` takes. */
const served = (listener: RequestListener, use: (url: string, dir: string) => Promise<void>): Promise<void> =>
  inFolder(async (dir) => {
    const server = createServer(listener)
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
    try {
      await use(`http://127.0.0.1:${(server.address() as AddressInfo).port}/file`, dir)
    } finally {
      server.closeAllConnections()
      await new Promise((done) => server.close(done))
    }
  })
const whole: RequestListener = (_, response) => response.setHeader('content-length', bytes.length).end(bytes)

describe('download', () => {
  test('a good file: its bytes, its hash, its progress', () =>
    served(whole, async (url, dir) => {
      const progress: (readonly [number, number | undefined])[] = []
      const file = `${dir}/a/b/file`
      const onProgress = (received: number, total: number | undefined) => progress.push([received, total])
      expect(await download({ url, file, sha256, onProgress })).toBe(sha256)
      expect((await readFile(file)).equals(bytes)).toBe(true)
      expect(await sha256File(file)).toBe(sha256)
      expect(progress.at(-1)).toEqual([bytes.length, bytes.length])
      expect(await filesIn(`${dir}/a/b`)).toEqual(['file'])
    }))

  test('a body without a length', () =>
    served(
      (_, response) => {
        response.write(bytes.subarray(0, 1000))
        response.end(bytes.subarray(1000))
      },
      async (url, dir) => {
        expect(await download({ url, file: `${dir}/file` })).toBe(sha256)
      },
    ))

  test('two of one file at once', () =>
    served(whole, async (url, dir) => {
      const file = `${dir}/file`
      expect(await Promise.all([download({ url, file }), download({ url, file })])).toEqual([sha256, sha256])
      expect((await readFile(file)).equals(bytes)).toBe(true)
      expect(await filesIn(dir)).toEqual(['file'])
    }))

  const refused = (
    listener: RequestListener,
    expected: RegExp,
    options: { sha256?: string; patienceMs?: number } = {},
  ) =>
    served(listener, async (url, dir) => {
      await writeFile(`${dir}/file`, 'old')
      const fault = await faultOf(() => download({ url, file: `${dir}/file`, ...once, ...options }))
      expect(fault.message).toContain(url)
      expect(fault.message).toMatch(expected)
      expect(await readFile(`${dir}/file`, 'utf8')).toBe('old')
      expect(await filesIn(dir)).toEqual(['file'])
    })

  test('another SHA-256', () =>
    refused(whole, /SHA-256/, { sha256: sha256.replace(/^./, (c) => (c === '0' ? '1' : '0')) }))
  test('cut short: the line breaks', () =>
    refused((_, response) => {
      response.setHeader('content-length', bytes.length)
      response.write(bytes.subarray(0, 100_000), () => response.destroy())
    }, /./))
  test('cut short: a chunked body breaks off', () =>
    refused((_, response) => response.write(bytes.subarray(0, 100_000), () => response.destroy()), /./))
  test('status 404', () => refused((_, response) => response.writeHead(404).end('none'), /404/))
  test('status 500', () => refused((_, response) => response.writeHead(500).end(), /500/))
  test('no answer within the patience', () => refused(() => {}, /no answer within 0\.1 s/, { patienceMs: 100 }))
  test('the line breaks before an answer', () => refused((request) => request.destroy(), /./))

  test('no server', () =>
    inFolder(async (dir) => {
      let closed = ''
      await served(whole, async (url) => {
        closed = url
      })
      await faultOf(() => download({ url: closed, file: `${dir}/file`, ...once }))
      await faultOf(() => download({ url: 'no url', file: `${dir}/file`, ...once }))
      expect(await filesIn(dir)).toEqual([])
    }))

  test('aborted before and on the way', () =>
    served(
      (_, response) => {
        response.setHeader('content-length', bytes.length)
        response.write(bytes.subarray(0, 1000))
      },
      async (url, dir) => {
        await faultOf(() => download({ url, file: `${dir}/file`, signal: AbortSignal.abort() }))
        const stop = new AbortController()
        await faultOf(() => download({ url, file: `${dir}/file`, signal: stop.signal, onProgress: () => stop.abort() }))
        expect(await filesIn(dir)).toEqual([])
      },
    ))

  test('a place that cannot be written', () =>
    served(whole, async (url, dir) => {
      await writeFile(`${dir}/file`, 'old')
      await faultOf(() => download({ url, file: `${dir}/file/inside`, ...once }))
      expect(await filesIn(dir)).toEqual(['file'])
    }))

  test('sha256File of no file', () =>
    faultOf(() => sha256File('no such file')).then((fault) => expect(fault.culprit).toContain('no such file')))
})
