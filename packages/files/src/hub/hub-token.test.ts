import { mkdir, writeFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { faultOf, inFolder } from '../files.test-util.ts'
import { hubToken } from './hub-token.ts'

const hub = 'https://huggingface.co'

test('the token that is given, of the environment, of the file', () =>
  inFolder(async (dir) => {
    await mkdir(`${dir}/home`)
    await writeFile(`${dir}/home/token`, 'of-file\n')
    await writeFile(`${dir}/elsewhere`, 'of-path')
    const env = { HF_HOME: `${dir}/home` }
    expect(await hubToken('given', hub, env)).toEqual({ value: 'given', from: 'the option token' })
    expect(await hubToken(false, hub, { ...env, HF_TOKEN: 'x' })).toBeUndefined()
    expect(await hubToken(undefined, hub, { ...env, HF_TOKEN: ' of-env ' })).toEqual({
      value: 'of-env',
      from: 'HF_TOKEN',
    })
    expect((await hubToken(undefined, hub, { ...env, HUGGING_FACE_HUB_TOKEN: 'old' }))?.value).toBe('old')
    expect(await hubToken(undefined, hub, { ...env, HF_TOKEN: '' })).toEqual({
      value: 'of-file',
      from: `the file ${dir}/home/token`,
    })
    expect((await hubToken(undefined, hub, { ...env, HF_TOKEN_PATH: `${dir}/elsewhere` }))?.value).toBe('of-path')
    expect(await hubToken(undefined, hub, { HF_HOME: `${dir}/none` })).toBeUndefined()
    expect(await hubToken(undefined, hub, {})).toBeUndefined()
    expect(await hubToken(undefined, hub, { ...env, HF_HUB_DISABLE_IMPLICIT_TOKEN: '1' })).toBeUndefined()
  }))

test('the one of the environment is of the endpoint of the environment', async () => {
  const env = { HF_TOKEN: 'secret', HF_ENDPOINT: 'https://mirror.test' }
  expect((await hubToken(undefined, 'https://mirror.test', env))?.value).toBe('secret')
  expect((await hubToken(undefined, 'https://mirror.test/sub', env))?.value).toBe('secret')
  for (const other of [hub, 'http://mirror.test', 'https://mirror.test:8443', 'https://a.mirror.test'])
    expect(await hubToken(undefined, other, env)).toBeUndefined()
})

test.each(['two words', 'lïne', 'a\nb', ' '])('%j is no token, and is not shown', async (given) => {
  const fault = await faultOf(() => hubToken(given, hub, {}))
  expect(fault).toMatchObject({ code: 'bad-token', culprit: 'the option token' })
  expect(fault.message).not.toContain(given.trim() || 'no such text')
})
