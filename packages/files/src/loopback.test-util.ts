import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export type Handler = (request: IncomingMessage, response: ServerResponse, count: number) => void

export interface Loopback {
  readonly port: number
  /** The headers of every request so far. */
  readonly requests: IncomingMessage['headers'][]
  url(path?: string, host?: string): string
  close(): Promise<void>
}

/** A server on this machine that lives for one test. */
export const loopback = async (handle: Handler): Promise<Loopback> => {
  const requests: IncomingMessage['headers'][] = []
  const server: Server = createServer((request, response) => {
    requests.push(request.headers)
    handle(request, response, requests.length)
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  const { port } = server.address() as AddressInfo
  return {
    port,
    requests,
    url: (path = '/file', host = '127.0.0.1') => `http://${host}:${port}${path}`,
    close: () => {
      server.closeAllConnections()
      return new Promise((done) => server.close(() => done()))
    },
  }
}

interface Serving {
  readonly etag?: string
  /** Breaks the connection after so many bytes of the body; undefined sends all. */
  readonly cutAfter?: number | undefined
}

/** Sends a file as a proper server does: ranges, If-Range, an etag. */
export const serve = (
  { headers }: IncomingMessage,
  response: ServerResponse,
  bytes: Uint8Array,
  { etag = '"v1"', cutAfter }: Serving = {},
): void => {
  const fits = headers['if-range'] === undefined || headers['if-range'] === etag
  const from = fits ? Number(/^bytes=(\d+)-$/.exec(headers.range ?? '')?.[1] ?? -1) : -1
  const body = from < 0 ? bytes : bytes.subarray(from)
  response.writeHead(from < 0 ? 200 : 206, {
    etag,
    'content-length': body.byteLength,
    ...(from >= 0 && { 'content-range': `bytes ${from}-${bytes.byteLength - 1}/${bytes.byteLength}` }),
  })
  if (cutAfter === undefined || cutAfter >= body.byteLength) response.end(body)
  else response.write(body.subarray(0, cutAfter), () => setTimeout(() => response.destroy(), 40))
}
