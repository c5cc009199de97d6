import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import { SourceMap } from 'node:module'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { findBrowser, NO_BROWSER } from '../../../scripts/browser.mjs'
import type { Host } from './host.ts'
import type { Message, Target } from './protocol.ts'

const here = fileURLToPath(new URL('.', import.meta.url))

/** The cases in a Web Worker of a headless browser. The page and its worker are served from here, and report to here. */
export const browserHost =
  (browser = findBrowser()): Host =>
  async (target, tell) => {
    if (!browser) {
      tell({ type: 'unavailable', reason: NO_BROWSER })
      return { stop: async () => {} }
    }
    const { program, map } = await bundle()
    const server = await serve(target, program, (message) => tell(readable(message, map)))
    const profile = await mkdtemp(join(tmpdir(), 'graft-browser-'))
    const { port } = server.address() as AddressInfo
    const child = launch(browser, [...flags(target), `--user-data-dir=${profile}`, `http://127.0.0.1:${port}/`])
    let log = ''
    child.stderr!.on('data', (text) => {
      log = (log + text).slice(-2000)
    })
    child.once('error', (error) => tell({ type: 'fatal', error: `${browser}: ${error.message}` }))
    child.once('exit', (code, signal) =>
      tell({ type: 'fatal', error: `${browser} ended by itself (${signal ?? code}) and said:\n${log}` }),
    )
    return {
      stop: async () => {
        await end(child)
        server.closeAllConnections()
        server.close()
        await rm(profile, { recursive: true, force: true, maxRetries: 5 })
      },
    }
  }

const bundle = async (): Promise<{ program: string; map: SourceMap }> => {
  const { outputFiles } = await build({
    entryPoints: [join(here, 'browser-worker.ts')],
    outfile: 'worker.js',
    bundle: true,
    write: false,
    format: 'iife',
    platform: 'browser',
    target: 'es2022',
    conditions: ['@graftjs/source'],
    // `files` and `models` import Node's modules inside functions that a browser does not call.
    external: ['node:*'],
    sourcemap: 'external',
    sourcesContent: false,
    logLevel: 'silent',
  })
  const text = (end: string): string => outputFiles.find(({ path }) => path.endsWith(end))!.text
  return { program: text('.js'), map: new SourceMap(JSON.parse(text('.map'))) }
}

/** The message with the places of its stack in our own files. */
const readable = (message: Message, map: SourceMap): Message => {
  if (!('error' in message) || !message.error) return message
  const error = message.error.replace(/http:[^\s)]*worker\.js:(\d+):(\d+)/g, (place, line, column) => {
    const origin = map.findOrigin(Number(line), Number(column))
    return 'fileName' in origin ? `${origin.fileName}:${origin.lineNumber}` : place
  })
  return { ...message, error }
}

const page = (target: Target): string => `<!doctype html><meta charset="utf-8"><title>Graft</title><script>
const tell = (message) => fetch('/tell', { method: 'POST', body: JSON.stringify(message) })
const worker = new Worker('/worker.js', { name: ${JSON.stringify(JSON.stringify(target))} })
worker.onerror = (e) => tell({ type: 'fatal', error: e.message + ' (' + e.filename + ':' + e.lineno + ')' })
</script>`

const serve = async (target: Target, program: string, tell: (message: Message) => void): Promise<Server> => {
  const isolation: Record<string, string> = target.isolated
    ? { 'Cross-Origin-Opener-Policy': 'same-origin', 'Cross-Origin-Embedder-Policy': 'require-corp' }
    : {}
  const server = createServer(async (request, response) => {
    const answer = (status: number, type: string, text: string): void => {
      response.writeHead(status, { ...isolation, 'Content-Type': type, 'Cache-Control': 'no-store' }).end(text)
    }
    const path = request.url!.split('?')[0]
    if (path === '/') answer(200, 'text/html', page(target))
    else if (path === '/worker.js') answer(200, 'text/javascript', program)
    else if (path === '/tell') {
      tell(JSON.parse(await bodyOf(request)) as Message)
      answer(200, 'text/plain', '')
    } else answer(404, 'text/plain', '')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return server
}

const bodyOf = async (request: IncomingMessage): Promise<string> => {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString()
}

const flags = ({ backend }: Target): string[] => [
  '--headless=new',
  // The browser ends when this pipe does, so that it never outlives the test process, however that one dies.
  '--remote-debugging-pipe',
  ...(process.getuid?.() === 0 ? ['--no-sandbox'] : []),
  '--no-first-run',
  '--disable-dev-shm-usage',
  '--disable-extensions',
  '--disable-quic',
  '--disable-sync',
  '--disable-component-update',
  '--disable-background-networking',
  '--disable-background-timer-throttling',
  '--disable-renderer-backgrounding',
  // A software adapter: the same numbers on every machine.
  ...(backend === 'webgpu' ? ['--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader'] : ['--disable-gpu']),
]

const launch = (browser: string, args: string[]): ChildProcess =>
  spawn(browser, args, {
    stdio: ['ignore', 'ignore', 'pipe', 'pipe', 'pipe'],
    // A process group of its own, to be ended as a whole.
    detached: process.platform !== 'win32',
  })

const end = async (child: ChildProcess): Promise<void> => {
  child.removeAllListeners('exit')
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
  const gone = once(child, 'exit')
  const kill = setTimeout(() => {
    if (process.platform === 'win32') child.kill('SIGKILL')
    else process.kill(-child.pid!, 'SIGKILL')
  }, 3000)
  for (const pipe of child.stdio.slice(3)) pipe?.destroy()
  await gone
  clearTimeout(kill)
}
