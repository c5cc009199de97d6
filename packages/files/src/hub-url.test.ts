import { describe, expect, test } from 'vitest'
import { cacheDir } from './cache-dir.ts'
import { faultOf } from './files.test-util.ts'
import { hubCacheDir } from './hub/hub-cache-dir.ts'
import { hubEndpoint } from './hub/hub-endpoint.ts'
import { hubUrl } from './hub-url.ts'

const endpoint = 'https://hub.test'

describe('hubUrl', () => {
  test('of a model, of a revision, of a data set', () => {
    expect(hubUrl('owner/name', 'config.json', { endpoint })).toBe(
      'https://hub.test/owner/name/resolve/main/config.json',
    )
    expect(hubUrl('gpt2', 'onnx/a b#.bin', { revision: 'refs/pr/1', endpoint })).toBe(
      'https://hub.test/gpt2/resolve/refs%2Fpr%2F1/onnx/a%20b%23.bin',
    )
    expect(hubUrl('owner/name', 'a', { type: 'dataset', endpoint })).toBe(
      'https://hub.test/datasets/owner/name/resolve/main/a',
    )
  })

  test.each([
    ['owner/name', '../secret'],
    ['owner/name', 'a/../b'],
    ['owner/name', '/etc/passwd'],
    ['owner/name', 'C:/windows'],
    ['owner/name', 'a\\b'],
    ['owner/name', 'a\0b'],
    ['owner/name', ''],
    ['owner/name', 'a//b'],
    ['../name', 'a'],
    ['owner/..', 'a'],
    ['owner/.name', 'a'],
    ['owner/na--me', 'a'],
    ['owner/name.git', 'a'],
    ['a/b/c', 'a'],
    ['', 'a'],
    ['owner/na me', 'a'],
  ])('%s, file %s: refused', async (repo, file) => {
    expect((await faultOf(() => hubUrl(repo, file, { endpoint }))).code).toBe('bad-option')
  })

  test.each(['', '..', '../../x', 'a/../b', '/main', 'a b', 'a:b', 'a\nb', 'a\\b'])(
    'the revision %j: refused',
    async (revision) => {
      const fault = await faultOf(() => hubUrl('owner/name', 'a', { revision, endpoint }))
      expect(fault).toMatchObject({ code: 'bad-option', expected: 'a branch, a tag or a commit' })
    },
  )
})

describe('hubEndpoint', () => {
  test('the one given, the environment, the hub', () => {
    expect(hubEndpoint('http://127.0.0.1:8080/', { HF_ENDPOINT: 'https://mirror.test' })).toBe('http://127.0.0.1:8080')
    expect(hubEndpoint(undefined, { HF_ENDPOINT: 'https://mirror.test//' })).toBe('https://mirror.test')
    expect(hubEndpoint(undefined, { HF_ENDPOINT: '' })).toBe('https://huggingface.co')
  })

  test.each(['mirror.test', 'ftp://mirror.test', 'https://me:secret@mirror.test', 'https://mirror.test/?a=secret'])(
    '%s: refused, and not shown',
    async (given) => {
      const fault = await faultOf(() => hubEndpoint(given, {}))
      expect(fault.code).toBe('bad-option')
      expect(fault.message).not.toContain('secret')
    },
  )
})

test('hubCacheDir: where huggingface_hub has it', async () => {
  const env = { HF_HUB_CACHE: '/a', HUGGINGFACE_HUB_CACHE: '/b', HF_HOME: '/c', XDG_CACHE_HOME: '/x', HOME: '/h' }
  expect(hubCacheDir(env)).toBe('/a')
  expect(hubCacheDir({ ...env, HF_HUB_CACHE: '' })).toBe('/b')
  expect(hubCacheDir({ HF_HOME: '/c', XDG_CACHE_HOME: '/x', HOME: '/h' })).toBe('/c/hub')
  expect(hubCacheDir({ XDG_CACHE_HOME: '/x', HOME: '/h' })).toBe('/x/huggingface/hub')
  expect(hubCacheDir({ HOME: '/h' })).toBe('/h/.cache/huggingface/hub')
  expect(hubCacheDir({ HF_HOME: '~/hf', HOME: '/h' })).toBe('/h/hf/hub')
  // biome-ignore lint/suspicious/noTemplateCurlyInString: a shell's variable
  expect(hubCacheDir({ HF_HUB_CACHE: '$DISK/${USER}/hub', DISK: '/d', USER: 'u' })).toBe('/d/u/hub')
  expect((await faultOf(() => hubCacheDir({}))).message).toContain('HF_HUB_CACHE=')
})

test('cacheDir', async () => {
  expect(cacheDir({ GRAFT_CACHE: '/c', XDG_CACHE_HOME: '/x', HOME: '/h' })).toBe('/c')
  expect(cacheDir({ GRAFT_CACHE: '', XDG_CACHE_HOME: '/x', HOME: '/h' })).toBe('/x/graft')
  expect(cacheDir({ XDG_CACHE_HOME: '', HOME: '/h' })).toBe('/h/.cache/graft')
  expect(cacheDir({ USERPROFILE: '/u' })).toBe('/u/.cache/graft')
  expect((await faultOf(() => cacheDir({}))).message).toContain('GRAFT_CACHE=')
})
