import { spawn } from 'node:child_process'
import { readdir, readFile } from 'node:fs/promises'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { seeded } from '../src/files.test-util.ts'
import { config, type HubCase, weights, withHub } from '../src/hub/hub-case.test-util.ts'
import { sha256 } from '../src/hub/hub-stub.test-util.ts'

const program = fileURLToPath(new URL('./fetch-snapshot.test-util.ts', import.meta.url))

/** Lets a process fetch. `watch` gets what kills it. True if it was done before. */
const fetchAndKill = async ({ stub, cacheDir }: HubCase, watch: (kill: () => void) => void): Promise<boolean> => {
  const child = spawn(process.execPath, ['--conditions=@graftjs/source', program, stub.endpoint, cacheDir], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  watch(() => child.kill('SIGKILL'))
  return (await new Promise<number | null>((done) => child.on('exit', done))) === 0
}

/** What has the name of a file is that file, whole; the branch is noted only when all are there. */
const expectSound = async ({ stub, cacheDir }: HubCase): Promise<void> => {
  const folder = `${cacheDir}/models--owner--name`
  const snapshot = `${folder}/snapshots/${stub.refs.main}`
  const expected = new Map([
    ['config.json', config],
    ['model.safetensors', weights],
  ])
  const names = await readdir(snapshot).catch(() => [] as string[])
  for (const name of names) expect((await readFile(`${snapshot}/${name}`)).equals(expected.get(name)!), name).toBe(true)
  const blobs = await readdir(`${folder}/blobs`).catch(() => [] as string[])
  for (const name of blobs.filter((blob) => blob === sha256(weights)))
    expect((await readFile(`${folder}/blobs/${name}`)).equals(weights)).toBe(true)
  const refs = await readdir(`${folder}/refs`).catch(() => [] as string[])
  if (refs.includes('main')) expect(names.sort()).toEqual([...expected.keys()])
}

/** Sends the large file piece by piece, and says before each how many bytes this answer has sent. */
const sendSlowly = (request: IncomingMessage, response: ServerResponse, tell: (sent: number) => void): void => {
  const from = Number(/\d+/.exec(request.headers.range ?? '0')?.[0])
  response.writeHead(from ? 206 : 200, {
    etag: '"s"',
    'content-length': weights.length - from,
    ...(from && { 'content-range': `bytes ${from}-${weights.length - 1}/${weights.length}` }),
  })
  const send = (at: number): void => {
    tell(at - from)
    if (at >= weights.length) response.end()
    else response.write(weights.subarray(at, at + 4000), () => setTimeout(send, 1, at + 4000))
  }
  send(from)
}

test('killed at any moment: no wrong file, and the next process goes on with what is there', () =>
  withHub(async (of) => {
    const random = seeded(31)
    let kill = (): void => {}
    let [requests, bytes] = [0, 0]
    of.stub.intercept = (request, response) => {
      if (--requests === 0) kill()
      if (!request.headers.host?.startsWith('localhost')) return false
      sendSlowly(request, response, (sent) => sent >= bytes && kill())
      return true
    }
    const round = (atRequest: number, atByte: number): Promise<boolean> => {
      requests = atRequest
      bytes = atByte
      return fetchAndKill(of, (by) => {
        kill = by
      })
    }
    for (let n = 0; n < 4; n++) {
      // At one of the questions, or on the way.
      const done = await (n % 2 ? round(1 + random(4), Infinity) : round(0, 40_000 + random(60_000)))
      expect(done).toBe(false)
      await expectSound(of)
    }
    expect(await round(0, Infinity)).toBe(true)
    await expectSound(of)
    expect(of.stub.far.filter(({ range }) => range !== undefined).length).toBeGreaterThan(0)
    const folder = `${of.cacheDir}/models--owner--name`
    expect(await readdir(`${folder}/refs`)).toEqual(['main'])
    expect((await readdir(`${folder}/blobs`)).filter((name) => name.endsWith('.incomplete'))).toEqual([])
  }))
