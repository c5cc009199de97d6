import { describe, expect, test } from 'vitest'
import { cacheDir } from './cache-dir.ts'
import { faultOf } from './files.test-util.ts'
import { hubUrl } from './hub-url.ts'

describe('hubUrl', () => {
  test('of the hub, of a mirror, of a revision', () => {
    expect(hubUrl('owner/name', 'config.json', 'main', {})).toBe(
      'https://huggingface.co/owner/name/resolve/main/config.json',
    )
    expect(hubUrl('gpt2', 'onnx/a b#.bin', 'refs/pr/1', { HF_ENDPOINT: 'http://127.0.0.1:8080/' })).toBe(
      'http://127.0.0.1:8080/gpt2/resolve/refs%2Fpr%2F1/onnx/a%20b%23.bin',
    )
    expect(hubUrl('owner/name', 'a', 'main', { HF_ENDPOINT: '' })).toContain('https://huggingface.co/')
  })

  test.each([
    ['owner/name', '../secret'],
    ['owner/name', 'a/../b'],
    ['owner/name', '/etc/passwd'],
    ['owner/name', 'a\\b'],
    ['owner/name', ''],
    ['owner/name', 'a//b'],
    ['../name', 'a'],
    ['owner/..', 'a'],
    ['a/b/c', 'a'],
    ['', 'a'],
    ['owner/na me', 'a'],
  ])('%s, file %s: refused', async (repo, file) => {
    expect((await faultOf(() => hubUrl(repo, file, 'main', {}))).code).toBe('bad-option')
  })
})

test('cacheDir', async () => {
  expect(cacheDir({ GRAFT_CACHE: '/c', XDG_CACHE_HOME: '/x', HOME: '/h' })).toBe('/c')
  expect(cacheDir({ GRAFT_CACHE: '', XDG_CACHE_HOME: '/x', HOME: '/h' })).toBe('/x/graft')
  expect(cacheDir({ XDG_CACHE_HOME: '', HOME: '/h' })).toBe('/h/.cache/graft')
  expect(cacheDir({ USERPROFILE: '/u' })).toBe('/u/.cache/graft')
  expect((await faultOf(() => cacheDir({}))).message).toContain('GRAFT_CACHE=')
})
