import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { describe, expect, test } from 'vitest'
import { faultOf, filesIn, utf8 } from '../files.test-util.ts'
import { config, large, small, version1, weights, withHub } from './hub-case.test-util.ts'
import { hubFile } from './hub-file.ts'
import { hubSnapshot } from './hub-snapshot.ts'
import type { StubFiles } from './hub-stub.test-util.ts'

const repo = 'owner/name'
const many: StubFiles = {
  ...version1,
  'README.md': small(utf8('# Stub')),
  'onnx/config.json': small(config),
  'onnx/deep/model.onnx': large(weights.subarray(0, 5000)),
}

describe('files by name', () => {
  test('all of one commit, which is asked once; again nothing but that', () =>
    withHub(async ({ at, asked, stub }) => {
      const commit = stub.refs.main!
      // Whoever pushes meanwhile changes nothing for this call.
      stub.intercept = (request) => {
        if (request.url?.endsWith('/revision/main')) setTimeout(() => (stub.refs.main = stub.commit({})), 0)
        return false
      }
      const options = { ...at, files: ['config.json', 'model.safetensors'], optional: ['tokenizer.json'] }
      const found = await hubSnapshot(repo, options)
      expect(found).toMatchObject({ commit, files: ['config.json', 'model.safetensors'] })
      expect((await readFile(`${found.folder}/model.safetensors`)).equals(weights)).toBe(true)
      stub.intercept = () => false
      stub.refs.main = commit
      asked()
      expect(await hubSnapshot(repo, options)).toEqual(found)
      expect(asked()).toEqual(['GET /api/models/owner/name/revision/main'])
      expect(await hubSnapshot(repo, { ...options, revision: commit })).toEqual(found)
      expect(await hubSnapshot(repo, { ...options, offline: true })).toEqual(found)
      expect(asked()).toEqual([])
    }))

  test('and more that these lead to', () =>
    withHub(async ({ at }) => {
      const rounds: (readonly string[])[] = []
      const { files } = await hubSnapshot(repo, {
        ...at,
        files: ['config.json'],
        more: async (soFar) => {
          rounds.push(soFar.files)
          expect((await readFile(`${soFar.folder}/config.json`)).equals(config)).toBe(true)
          return soFar.files.includes('README.md') ? ['onnx/config.json'] : ['README.md']
        },
      })
      expect(files).toEqual(['config.json', 'README.md', 'onnx/config.json'])
      expect(rounds).toHaveLength(3)
    }, many))

  test('one that is missing: an error that names it', () =>
    withHub(async ({ at }) => {
      const fault = await faultOf(() => hubSnapshot(repo, { ...at, files: ['config.json', 'none.json'] }))
      expect(fault).toMatchObject({ code: 'no-such-file', culprit: 'owner/name/none.json' })
    }))

  test('cut off: offline the version before stays the one of the branch', () =>
    withHub(async ({ at, stub }) => {
      const files = ['config.json', 'model.safetensors']
      const old = await hubSnapshot(repo, { ...at, files })
      stub.refs.main = stub.commit({
        'config.json': small(utf8('{}')),
        'model.safetensors': large(weights.toReversed()),
      })
      stub.intercept = (request, response) => {
        if (!request.headers.host?.startsWith('localhost')) return false
        response.destroy()
        return true
      }
      const fault = await faultOf(() => hubSnapshot(repo, { ...at, files, retries: 0 }))
      expect(fault.code).toBe('no-connection')
      expect(await hubSnapshot(repo, { ...at, files, offline: true })).toEqual(old)
      expect((await readFile(`${old.folder}/config.json`)).equals(config)).toBe(true)
      stub.intercept = () => false
      const { commit } = await hubSnapshot(repo, { ...at, files })
      expect(commit).toBe(stub.refs.main)
    }))

  test('of a hub that cannot be reached: those of the cache; without them, why', () =>
    withHub(async ({ at }) => {
      const files = ['config.json']
      const online = await hubSnapshot(repo, { ...at, files })
      const gone = { ...at, endpoint: 'http://127.0.0.1:9' }
      expect(await hubSnapshot(repo, { ...gone, files })).toEqual(online)
      for (const id of [repo, 'owner/other']) {
        const fault = await faultOf(() => hubSnapshot(id, { ...gone, files: ['model.safetensors'] }))
        expect(fault.message).toContain('http://127.0.0.1:9 cannot be reached')
      }
      const fault = await faultOf(() => hubSnapshot('owner/other', { ...gone, files, offline: true }))
      expect(fault.code).toBe('not-cached')
    }))
})

describe('files by pattern', () => {
  test('all, in one list and one request a file', () =>
    withHub(async ({ at, asked, stub }) => {
      const { files, commit, folder } = await hubSnapshot(repo, at)
      expect([...files].sort()).toEqual(Object.keys(many).sort())
      expect(asked().filter((path) => path.startsWith('HEAD'))).toEqual([])
      expect(await filesIn(`${folder}/onnx`)).toEqual(['config.json', 'deep'])
      expect((await readFile(`${folder}/onnx/deep/model.onnx`)).equals(weights.subarray(0, 5000))).toBe(true)
      expect(commit).toBe(stub.refs.main)
      // The list is kept.
      await hubSnapshot(repo, { ...at, revision: commit })
      expect(asked()).toEqual([])
    }, many))

  test.each([
    [{ allow: '*.json' }, ['config.json', 'onnx/config.json']],
    [{ allow: ['onnx/'] }, ['onnx/config.json', 'onnx/deep/model.onnx']],
    [{ allow: ['*.json', 'README.*'], ignore: 'onnx/*' }, ['README.md', 'config.json']],
    [{ ignore: ['*.safetensors', '*.onnx'] }, ['README.md', 'config.json', 'onnx/config.json']],
  ])('%j', (patterns, expected) =>
    withHub(async ({ at }) => {
      const { files } = await hubSnapshot(repo, { ...at, ...patterns })
      expect([...files].sort()).toEqual(expected)
      expect([...(await hubSnapshot(repo, { ...at, ...patterns, offline: true })).files].sort()).toEqual(expected)
    }, many),
  )

  test('none fits: an error', () =>
    withHub(async ({ at }) => {
      expect((await faultOf(() => hubSnapshot(repo, { ...at, allow: '*.bin' }))).code).toBe('no-such-file')
    }))

  test('offline: what the kept list has and the cache does not is named; without a list, what is there', () =>
    withHub(async ({ at, cacheDir }) => {
      const { commit } = await hubSnapshot(repo, { ...at, allow: '*.json' })
      const fault = await faultOf(() => hubSnapshot(repo, { ...at, offline: true }))
      expect(fault).toMatchObject({ code: 'not-cached', culprit: expect.stringMatching(/^owner\/name\//) })
      const list = `${cacheDir}/models--owner--name/trees/${commit}.json`
      for (const text of ['{', '{"format_version": 1, "files": {"a": {"size": 1, "blob_id": "../../x"}}}']) {
        await writeFile(list, text)
        expect([...(await hubSnapshot(repo, { ...at, offline: true })).files].sort()).toEqual([
          'config.json',
          'onnx/config.json',
        ])
      }
      await rm(list)
      expect((await hubSnapshot(repo, { ...at, offline: true, allow: 'onnx/*' })).files).toEqual(['onnx/config.json'])
    }, many))

  test('a list in pages, each of them the hub’s own', () =>
    withHub(async ({ at, stub }) => {
      const entry = (path: string): object => ({ type: 'file', path, oid: 'a'.repeat(40), size: 1 })
      let next = ''
      stub.intercept = (request, response) => {
        if (!request.url?.includes('/tree/')) return false
        const page = request.url.includes('cursor=2')
        if (!page) response.setHeader('link', `<${next}>; rel="next"`)
        response.end(JSON.stringify(page ? [entry('../../out')] : [{ type: 'directory', path: 'onnx' }]))
        return true
      }
      next = `${stub.endpoint}/api/models/owner/name/tree/x?cursor=2`
      // The second page was read: its file is refused for its name.
      expect((await faultOf(() => hubSnapshot(repo, at))).message).toContain('"../../out"')
      stub.refs.main = stub.commit(version1)
      next = 'http://localhost:9/api/models/owner/name/tree/x?cursor=2'
      expect((await faultOf(() => hubSnapshot(repo, at))).message).toContain('a list elsewhere')
    }))

  test('an answer that is no list, or none at all', () =>
    withHub(async ({ at, stub }) => {
      for (const [text, code] of [
        ['{', 'bad-file'],
        ['{}', 'no-hub'],
        ['{"sha": "../x"}', 'no-hub'],
      ] as const) {
        stub.intercept = (_, response) => {
          response.end(text)
          return true
        }
        expect((await faultOf(() => hubSnapshot(repo, at))).code).toBe(code)
      }
      stub.intercept = (_, response) => {
        response.writeHead(200, { 'content-length': 100 }).write('{"sha"')
        return true
      }
      const fault = await faultOf(() => hubSnapshot(repo, { ...at, stallMs: 50, retries: 0 }))
      expect(fault.message).toContain('stopped half-way')
      stub.intercept = () => false
      expect((await faultOf(() => hubSnapshot('owner/other', at))).code).toBe('no-such-repo')
    }))
})

test('what Python left is taken as it is', () =>
  withHub(async ({ at, cacheDir, asked, stub }) => {
    const folder = `${cacheDir}/models--owner--name`
    await mkdir(`${folder}/snapshots/${stub.refs.main}`, { recursive: true })
    await mkdir(`${folder}/refs`, { recursive: true })
    await writeFile(`${folder}/snapshots/${stub.refs.main}/config.json`, config)
    await writeFile(`${folder}/refs/main`, stub.refs.main!)
    expect((await hubFile(repo, 'config.json', { ...at, offline: true })).commit).toBe(stub.refs.main)
    await hubSnapshot(repo, { ...at, files: ['config.json'] })
    expect(asked()).toEqual(['GET /api/models/owner/name/revision/main'])
  }))
