import { readdirSync, readFileSync } from 'node:fs'
import { forward } from '@graftjs/core'
import { useSimd } from '@graftjs/kernels'
import { fetchModel, isHubId, loadModel } from '@graftjs/models'
import { scope } from '@graftjs/tensor'
import { isGraftError } from '@graftjs/tensor/error'
import { beforeAll, describe, expect, it, vi } from 'vitest'
import { type HubCase, large, small, withHub } from '../../files/src/hub/hub-case.test-util.ts'
import type { StubFiles } from '../../files/src/hub/hub-stub.test-util.ts'
import { fixtureDir } from './fixture.ts'

const dir = fixtureDir('tiny-llama/model')
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const config = small(readFileSync(`${dir}/config.json`))
const weights = large(readFileSync(`${dir}/model.safetensors`))
const model: StubFiles = { 'config.json': config, 'model.safetensors': weights, 'pytorch_model.bin': weights }

const messageOf = async (run: () => Promise<unknown>): Promise<string> => {
  const error = await run().then(
    () => undefined,
    (cause: unknown) => cause,
  )
  if (!isGraftError(error)) throw new Error('no GraftError', { cause: error })
  return error.message
}

/** The hub at its address of the environment, with short waits. */
const withModel = (use: (of: HubCase) => Promise<void>, files: StubFiles = model): Promise<void> => withHub(use, files)

beforeAll(() => useSimd({ threads: 1 }))

describe('a model of the hub', () => {
  it('is loaded by its id, by branch and by commit, and then without the hub', () =>
    withModel(async ({ stub, asked }) => {
      const logits = async (where: string): Promise<Float32Array> => {
        const loaded = await loadModel(where)
        const values = scope(() => forward(loaded, { ids: [[1, 2, 3]] }).logits(-1)).dataSync() as Float32Array
        return values
      }
      const expected = await logits(dir)
      expect(await logits('owner/name')).toEqual(expected)
      expect(asked().filter((path) => path.includes('pytorch'))).toEqual([])
      expect(await logits(`owner/name@${stub.refs.main}`)).toEqual(expected)
      expect(asked()).toEqual([])
      vi.stubEnv('HF_ENDPOINT', 'http://127.0.0.1:9')
      expect(await logits('owner/name')).toEqual(expected)
      vi.stubEnv('HF_HUB_OFFLINE', '1')
      expect(await logits('owner/name@main')).toEqual(expected)
    }))

  it('comes with its tokenizer and with nothing that it does not need', () =>
    withModel(
      async ({ asked }) => {
        const folder = await fetchModel('owner/name')
        expect(readdirSync(folder).sort()).toEqual(['config.json', 'model.safetensors', 'tokenizer.json'])
        asked()
        await fetchModel('owner/name')
        expect(asked()).toEqual(['GET /api/models/owner/name/revision/main'])
      },
      { ...model, 'tokenizer.json': small(bytes('{}')), 'README.md': small(bytes('#')) },
    ))

  const index = (map: unknown): StubFiles => ({
    'config.json': config,
    'model.safetensors.index.json': small(bytes(JSON.stringify({ metadata: {}, weight_map: map }))),
    'model-00001-of-00002.safetensors': weights,
    'model-00002-of-00002.safetensors': large(bytes('second')),
    'model-00003.safetensors': large(bytes('of another model')),
  })

  it('in shards: the index and the shards that it names', () =>
    withModel(
      async () => {
        expect(readdirSync(await fetchModel('owner/name')).sort()).toEqual([
          'config.json',
          'model-00001-of-00002.safetensors',
          'model-00002-of-00002.safetensors',
          'model.safetensors.index.json',
        ])
      },
      index({
        a: 'model-00001-of-00002.safetensors',
        b: 'model-00002-of-00002.safetensors',
        c: 'model-00001-of-00002.safetensors',
      }),
    ))

  it.each<[unknown, RegExp]>([
    [{ a: '../../x.safetensors' }, /the file "\.\.\/\.\.\/x\.safetensors"; expected a path within/],
    [{ a: 'pytorch_model.bin' }, /an index without a weight_map of \.safetensors files/],
    [{ a: 3 }, /an index without a weight_map/],
    [{}, /an index without a weight_map/],
    [{ a: 'none.safetensors' }, /no file "none\.safetensors"/],
  ])('with an index of %j: refused', (map, words) =>
    withModel(async ({ cacheDir }) => {
      expect(await messageOf(() => fetchModel('owner/name'))).toMatch(words)
      expect(readdirSync(`${cacheDir}/models--owner--name`)).not.toContain('refs')
    }, index(map)),
  )

  it('without safetensors: the error says what is missing', () =>
    withModel(
      async () => {
        expect(await messageOf(() => loadModel('owner/name'))).toMatch(
          /^owner\/name: the repository has no model\.safetensors and no model\.safetensors\.index\.json; expected/,
        )
      },
      { 'config.json': config, 'pytorch_model.bin': weights },
    ))
})

describe('a path that was mistyped', () => {
  it('is told from a model that the hub does not have', () =>
    withModel(async () => {
      expect(await messageOf(() => loadModel('out/adpater'))).toMatch(
        /^out\/adpater: there is no folder of that name here, and as a hub id: http.* has no such model, or it is private/,
      )
    }))

  it('and from a hub that cannot be reached, or is not asked', () =>
    withModel(async () => {
      vi.stubEnv('HF_ENDPOINT', 'http://127.0.0.1:9')
      expect(await messageOf(() => loadModel('out/adpater'))).toMatch(
        /^out\/adpater: there is no folder of that name here, and as a hub id: http:\/\/127\.0\.0\.1:9 cannot be reached/,
      )
      vi.stubEnv('HF_HUB_OFFLINE', '1')
      expect(await messageOf(() => loadModel('out/adpater'))).toMatch(
        /^out\/adpater: there is no folder of that name here, and as a hub id: nothing of main is in .*HF_HUB_OFFLINE/,
      )
      expect(await messageOf(() => loadModel('out/run--2'))).toMatch(
        /^out\/run--2: there is no folder of that name here, and as a hub id: given "out\/run--2"; expected owner\/name/,
      )
    }))
})

it('knows an id from a path', () => {
  for (const id of ['owner/name', 'owner/name@main', 'owner/name@refs/pr/1', 'o_1/n.2-x'])
    expect(isHubId(id)).toBe(true)
  for (const path of ['./model', '../model', 'model', '/a/b', 'a/b/c', 'owner/name@', 'a/b@c@d'])
    expect(isHubId(path)).toBe(false)
})

it('takes one revision', async () => {
  expect(await messageOf(() => fetchModel('owner/name@v1', { revision: 'v2' }))).toMatch(/the revision v2 as well/)
})
