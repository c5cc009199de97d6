import { lstat, mkdir, readdir, readFile, readlink, rm, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { describe, expect, test, vi } from 'vitest'
import { faultOf, filesIn, utf8 } from '../files.test-util.ts'
import { config, small, version1, weights, withHub } from './hub-case.test-util.ts'
import { hubFile } from './hub-file.ts'
import { gitHash, sha256 } from './hub-stub.test-util.ts'

const repo = 'owner/name'
const folderOf = (cacheDir: string): string => `${cacheDir}/models--owner--name`

describe('a file', () => {
  test('lies where huggingface_hub has it: a blob by its hash, a link by its name, the commit of the branch', () =>
    withHub(async ({ stub, cacheDir, at }) => {
      const { path, commit } = await hubFile(repo, 'model.safetensors', at)
      const folder = folderOf(cacheDir)
      expect(commit).toBe(stub.refs.main)
      expect(path).toBe(`${folder}/snapshots/${commit}/model.safetensors`)
      expect((await readFile(path)).equals(weights)).toBe(true)
      expect(await readlink(path)).toBe(`../../blobs/${sha256(weights)}`)
      expect(await readFile(`${folder}/refs/main`, 'utf8')).toBe(commit)
      await hubFile(repo, 'config.json', at)
      expect(await filesIn(`${folder}/blobs`)).toEqual([gitHash(config), sha256(weights)].sort())
      expect(await filesIn(folder)).toEqual(['blobs', 'refs', 'snapshots'])
      expect(await readFile(`${cacheDir}/CACHEDIR.TAG`, 'utf8')).toMatch(
        /^Signature: 8a477f597d28d172789f06886806bc55\n/,
      )
    }))

  test('in a folder links out of it', () =>
    withHub(
      async ({ at }) => {
        const { path } = await hubFile(repo, 'onnx/deep/config.json', at)
        expect(await readlink(path)).toBe(`../../../../blobs/${gitHash(config)}`)
      },
      { 'onnx/deep/config.json': small(config) },
    ))

  test('that is empty', () =>
    withHub(
      async ({ at }) => {
        const { path } = await hubFile(repo, 'empty', at)
        expect(await readFile(path, 'utf8')).toBe('')
      },
      { empty: small(new Uint8Array()) },
    ))

  test('of a branch is asked for each time, its bytes once', () =>
    withHub(async ({ at, asked, stub }) => {
      await hubFile(repo, 'config.json', at)
      expect(asked()).toEqual([
        'HEAD /owner/name/resolve/main/config.json',
        `GET /owner/name/resolve/${stub.refs.main}/config.json`,
      ])
      await hubFile(repo, 'config.json', at)
      expect(asked()).toEqual(['HEAD /owner/name/resolve/main/config.json'])
    }))

  test('of a commit is never asked for again', () =>
    withHub(async ({ at, asked, stub }) => {
      const revision = stub.refs.main!
      await hubFile(repo, 'config.json', { ...at, revision })
      asked()
      expect((await hubFile(repo, 'config.json', { ...at, revision })).commit).toBe(revision)
      expect(asked()).toEqual([])
    }))

  test('that a commit does not have is not asked for again either', () =>
    withHub(async ({ at, asked, stub, cacheDir }) => {
      const revision = stub.refs.main!
      await faultOf(() => hubFile(repo, 'sub/none', { ...at, revision }))
      expect(await filesIn(`${folderOf(cacheDir)}/.no_exist/${revision}/sub`)).toEqual(['none'])
      asked()
      expect((await faultOf(() => hubFile(repo, 'sub/none', { ...at, revision }))).code).toBe('no-such-file')
      expect(asked()).toEqual([])
    }))

  test('of a branch that moved: the new one, the old one stays; what did not change is not fetched', () =>
    withHub(async ({ at, asked, stub, cacheDir }) => {
      const old = await hubFile(repo, 'config.json', at)
      await hubFile(repo, 'model.safetensors', at)
      const bytes = utf8('{"model_type": "new"}')
      stub.refs.main = stub.commit({ ...version1, 'config.json': small(bytes) })
      stub.refs['refs/pr/1'] = stub.refs.main
      const now = await hubFile(repo, 'config.json', at)
      expect(now.commit).toBe(stub.refs.main)
      expect(await readFile(now.path, 'utf8')).toBe('{"model_type": "new"}')
      expect((await readFile(old.path)).equals(config)).toBe(true)
      asked()
      const { path } = await hubFile(repo, 'model.safetensors', at)
      expect(asked()).toEqual(['HEAD /owner/name/resolve/main/model.safetensors'])
      expect((await readFile(path)).equals(weights)).toBe(true)
      await hubFile(repo, 'config.json', { ...at, revision: 'refs/pr/1' })
      expect(await readFile(`${folderOf(cacheDir)}/refs/refs/pr/1`, 'utf8')).toBe(now.commit)
    }))

  test('of a data set has a folder of its own', () =>
    withHub(async ({ at, cacheDir, asked }) => {
      await faultOf(() => hubFile(repo, 'rows.jsonl', { ...at, type: 'dataset' }))
      expect(asked()).toEqual(['HEAD /datasets/owner/name/resolve/main/rows.jsonl'])
      await mkdir(`${cacheDir}/datasets--owner--name/snapshots/${'a'.repeat(40)}`, { recursive: true })
      await writeFile(`${cacheDir}/datasets--owner--name/snapshots/${'a'.repeat(40)}/rows.jsonl`, '{}')
      await hubFile(repo, 'rows.jsonl', { ...at, type: 'dataset', revision: 'a'.repeat(40) })
    }))

  test('tells of its progress, and of none from the cache', () =>
    withHub(async ({ at }) => {
      const steps: (number | undefined)[][] = []
      const onProgress = (...step: (number | undefined)[]) => steps.push(step)
      await hubFile(repo, 'model.safetensors', { ...at, onProgress })
      expect(steps.at(-1)).toEqual([weights.length, weights.length])
      steps.length = 0
      await hubFile(repo, 'model.safetensors', { ...at, onProgress })
      expect(steps).toEqual([])
    }))

  test('by the fetch that is given, in the folder that is given', () =>
    withHub(async ({ at, cacheDir }) => {
      const urls: string[] = []
      const spy: typeof fetch = (input, init) => {
        urls.push(String(input))
        return fetch(input, init)
      }
      const { path } = await hubFile(repo, 'config.json', { ...at, fetch: spy, cacheDir: `${cacheDir}/../other` })
      expect(path).toContain('/other/models--owner--name/')
      expect(urls).toHaveLength(2)
    }))
})

describe('a cache', () => {
  test('without links holds the files themselves, blobs none', () =>
    withHub(async ({ at, cacheDir, stub }) => {
      vi.stubEnv('HF_HUB_DISABLE_SYMLINKS', '1')
      const { path } = await hubFile(repo, 'model.safetensors', at)
      expect((await lstat(path)).isFile()).toBe(true)
      expect((await readFile(path)).equals(weights)).toBe(true)
      expect(await filesIn(`${folderOf(cacheDir)}/blobs`)).toEqual([])
      // A blob that others link to is copied.
      vi.stubEnv('HF_HUB_DISABLE_SYMLINKS', '')
      await hubFile(repo, 'config.json', at)
      vi.stubEnv('HF_HUB_DISABLE_SYMLINKS', '1')
      stub.refs.main = stub.commit({ ...version1, more: small(weights) })
      const copy = await hubFile(repo, 'config.json', at)
      expect((await lstat(copy.path)).isFile()).toBe(true)
      expect(await filesIn(`${folderOf(cacheDir)}/blobs`)).toEqual([gitHash(config)])
    }))

  test('whose blob is gone or cut short is mended', () =>
    withHub(async ({ at, cacheDir }) => {
      const { path } = await hubFile(repo, 'model.safetensors', at)
      const blob = `${folderOf(cacheDir)}/blobs/${sha256(weights)}`
      await rm(blob)
      await hubFile(repo, 'model.safetensors', at)
      expect((await readFile(path)).equals(weights)).toBe(true)
      await writeFile(blob, weights.subarray(0, 1000))
      await hubFile(repo, 'model.safetensors', at)
      expect((await readFile(path)).equals(weights)).toBe(true)
      expect(await filesIn(`${folderOf(cacheDir)}/blobs`)).toEqual([sha256(weights)])
    }))

  test('is asked by several at once', () =>
    withHub(async ({ at, cacheDir }) => {
      const all = await Promise.all(Array.from({ length: 4 }, () => hubFile(repo, 'model.safetensors', at)))
      for (const { path } of all) expect((await readFile(path)).equals(weights)).toBe(true)
      expect(await filesIn(`${folderOf(cacheDir)}/blobs`)).toEqual([sha256(weights)])
    }))

  test('that cannot be written: the error names the file', () =>
    withHub(async ({ at, cacheDir }) => {
      const file = `${dirname(dirname(cacheDir))}/file`
      await writeFile(file, 'kept')
      const fault = await faultOf(() => hubFile(repo, 'config.json', { ...at, cacheDir: file }))
      expect(fault).toMatchObject({ code: 'write-failed' })
      expect(await readFile(file, 'utf8')).toBe('kept')
    }))
})

describe('offline', () => {
  test('a file of the cache by its branch, without a request', () =>
    withHub(async ({ at, asked }) => {
      const online = await hubFile(repo, 'config.json', at)
      asked()
      expect(await hubFile(repo, 'config.json', { ...at, offline: true })).toEqual(online)
      vi.stubEnv('HF_HUB_OFFLINE', 'Yes')
      expect(await hubFile(repo, 'config.json', at)).toEqual(online)
      expect(asked()).toEqual([])
      await hubFile(repo, 'config.json', { ...at, offline: false })
      expect(asked()).toHaveLength(1)
    }))

  test('another: an error that names it, its cache and what would do', () =>
    withHub(async ({ at, asked, cacheDir }) => {
      await hubFile(repo, 'config.json', at)
      asked()
      for (const [file, revision] of [
        ['model.safetensors', 'main'],
        ['config.json', 'v2'],
      ] as const) {
        const fault = await faultOf(() => hubFile(repo, file, { ...at, offline: true, revision }))
        expect(fault).toMatchObject({ code: 'not-cached', culprit: `owner/name/${file}` })
        expect(fault.message).toContain(`"${file}" at ${revision} is not in ${cacheDir}`)
        expect(fault.message).toContain('HF_HUB_OFFLINE')
      }
      expect(asked()).toEqual([])
    }))

  test('a hub that cannot be reached: what the branch named last, at once; nothing there: an error', () =>
    withHub(async ({ at, stub }) => {
      const online = await hubFile(repo, 'config.json', at)
      const endpoint = 'http://127.0.0.1:9'
      expect(await hubFile(repo, 'config.json', { ...at, endpoint })).toEqual(online)
      const fault = await faultOf(() => hubFile(repo, 'model.safetensors', { ...at, endpoint }))
      expect(fault.code).toBe('no-connection')
      expect(fault.message).toMatch(
        /^owner\/name: http:\/\/127\.0\.0\.1:9 cannot be reached \(.+\); check the connection/,
      )
      stub.intercept = (_, response) => {
        response.writeHead(503).end()
        return true
      }
      expect(await hubFile(repo, 'config.json', at)).toEqual(online)
    }))

  test('a hub that is silent', () =>
    withHub(async ({ at, stub }) => {
      stub.intercept = () => true
      const fault = await faultOf(() => hubFile(repo, 'config.json', { ...at, patienceMs: 100 }))
      expect(fault).toMatchObject({ code: 'no-answer' })
      expect(fault.message).toContain('no answer within 0.1 s')
    }))

  test('a hub that has a short fault is asked again', () =>
    withHub(async ({ at, stub, asked }) => {
      let faults = 2
      stub.intercept = (_, response) => {
        if (faults-- <= 0) return false
        if (faults === 1) response.writeHead(502).end()
        else response.destroy()
        return true
      }
      await hubFile(repo, 'config.json', at)
      expect(asked()).toHaveLength(4)
    }))
})

describe('refusals say what would do', () => {
  const refusal = async (
    status: number,
    headers: Record<string, string>,
    token?: string,
    file = 'config.json',
  ): Promise<string[]> => {
    let said: string[] = []
    await withHub(async ({ at, stub }) => {
      stub.intercept = (_, response) => {
        response.writeHead(status, headers).end()
        return true
      }
      const fault = await faultOf(() => hubFile(repo, file, { ...at, ...(token && { token }) }))
      said = [fault.code, fault.message]
    })
    return said
  }

  test.each<[number, Record<string, string>, string | undefined, string, RegExp]>([
    [
      401,
      { 'x-error-code': 'RepoNotFound' },
      undefined,
      'no-such-repo',
      /no such model, or it is private; .*set HF_TOKEN/,
    ],
    [
      404,
      { 'x-error-code': 'RepoNotFound' },
      'secret',
      'no-such-repo',
      /a token that may read it in place of the option/,
    ],
    [401, { 'x-error-code': 'GatedRepo' }, undefined, 'gated', /ask on http.*\/owner\/name then set HF_TOKEN/],
    [
      403,
      { 'x-error-code': 'GatedRepo' },
      'secret',
      'gated',
      /ask on http.*\/owner\/name with the account of the option/,
    ],
    [404, { 'x-error-code': 'RevisionNotFound' }, undefined, 'no-such-revision', /no branch, tag or commit "main"/],
    [
      404,
      { 'x-error-code': 'EntryNotFound' },
      undefined,
      'no-such-file',
      /no file "config.json" at main.*\/tree\/main$/,
    ],
    [404, {}, undefined, 'no-such-file', /no file/],
    [401, {}, 'secret', 'bad-token', /does not know the token of the option token; make one at/],
    [401, { 'x-error-message': 'Invalid credentials in Authorization header' }, 'secret', 'bad-token', /does not know/],
    [403, {}, 'secret', 'bad-token', /does not let in the token/],
    [403, {}, undefined, 'bad-token', /set HF_TOKEN/],
    [403, { 'x-error-message': 'Access to this resource is disabled.' }, undefined, 'disabled', /closed/],
    [429, {}, undefined, 'busy', /too many requests .*wait some minutes/],
    [418, {}, undefined, 'bad-status', /status 418/],
  ])('%i %j, token %s: %s', async (status, headers, token, code, words) => {
    const [given, message] = await refusal(status, headers, token)
    expect(given).toBe(code)
    expect(message).toMatch(words)
    expect(message).toMatch(/^owner\/name: /)
    expect(message).not.toContain('secret')
  })

  test('an address that is no hub', async () => {
    expect((await refusal(200, { etag: '"abc"' }))[1]).toMatch(/is HF_ENDPOINT right/)
    expect((await refusal(200, { etag: `"${'a'.repeat(40)}"` }))[0]).toBe('no-hub')
  })

  test('names that lead out of the cache: refused, nothing asked', () =>
    withHub(async ({ at, asked, cacheDir }) => {
      for (const [id, file, revision] of [
        [repo, '../x', 'main'],
        [repo, 'a/../../x', 'main'],
        [repo, '/etc/passwd', 'main'],
        [repo, 'a\\..\\x', 'main'],
        ['..', 'x', 'main'],
        ['a/../b', 'x', 'main'],
        [repo, 'x', '../../main'],
      ] as const)
        expect((await faultOf(() => hubFile(id, file, { ...at, revision }))).code).toBe('bad-option')
      expect(asked()).toEqual([])
      expect(await readdir(cacheDir).catch(() => [])).toEqual([])
    }))

  test('an etag or a commit that leads out of the cache', () =>
    withHub(async ({ at, stub, cacheDir }) => {
      for (const bad of [{ etag: '"../../x"' }, { 'x-repo-commit': '../../x' }]) {
        const good = { etag: `"${gitHash(config)}"`, 'x-repo-commit': stub.refs.main! }
        stub.intercept = (_, response) => {
          response.writeHead(200, { ...good, ...bad }).end()
          return true
        }
        expect((await faultOf(() => hubFile(repo, 'config.json', at))).code).toBe('no-hub')
      }
      expect(await readdir(cacheDir).catch(() => [])).toEqual([])
    }))
})

test('aborted: the error says so, and a later call goes on where it was', () =>
  withHub(async ({ at, stub, cacheDir }) => {
    const stop = new AbortController()
    stub.intercept = (request, response) => {
      if (request.headers.host?.startsWith('localhost') !== true) return false
      response.writeHead(200, { etag: '"store"', 'content-length': weights.length })
      response.write(weights.subarray(0, 50_000))
      return true
    }
    const onProgress = (received: number) => received === 50_000 && stop.abort()
    const fault = await faultOf(() => hubFile(repo, 'model.safetensors', { ...at, signal: stop.signal, onProgress }))
    expect(fault.code).toBe('aborted')
    expect(await filesIn(`${folderOf(cacheDir)}/blobs`)).toEqual([expect.stringMatching(/\.incomplete$/)])
    expect(await readdir(`${folderOf(cacheDir)}/snapshots`).catch(() => [])).toEqual([])
    stub.intercept = () => false
    const { path } = await hubFile(repo, 'model.safetensors', at)
    expect((await readFile(path)).equals(weights)).toBe(true)
  }))
