import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { ensureBrowser, findBrowser, required, softwareVulkan } from './browser.mjs'

let dir: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'graft-browser-'))
  vi.stubEnv('GRAFT_CHROME', undefined)
})
afterEach(() => {
  vi.unstubAllEnvs()
  rmSync(dir, { recursive: true })
})
const program = (name: string): string => {
  writeFileSync(join(dir, name), '')
  return join(dir, name)
}

describe.skipIf(process.platform === 'win32')('the browser of the portable tests', () => {
  it('is the first of the usual names on the path', () => {
    vi.stubEnv('PATH', ['/nowhere', dir].join(delimiter))
    if (process.platform === 'linux') expect(findBrowser()).toBeUndefined()
    program('chromium')
    expect(findBrowser()).toBe(join(dir, 'chromium'))
    program('google-chrome')
    expect(findBrowser()).toBe(join(dir, 'google-chrome'))
  })

  it('is the one that GRAFT_CHROME names, whatever else there is', () => {
    program('chromium')
    vi.stubEnv('PATH', dir)
    vi.stubEnv('GRAFT_CHROME', '/opt/mine')
    expect(findBrowser()).toBe('/opt/mine')
  })

  it('is not installed where nobody asked: only CI misses it', () => {
    vi.stubEnv('PATH', dir)
    vi.stubEnv('CI', undefined)
    vi.stubEnv('GRAFT_CI', undefined)
    expect(required()).toBe(false)
    ensureBrowser((message: string) => expect.unreachable(message))
    vi.stubEnv('GRAFT_CI', '1')
    expect(required()).toBe(true)
  })

  it('has its software driver beside the program that a link leads to', () => {
    mkdirSync(join(dir, 'lib'))
    writeFileSync(join(dir, 'lib/chromium'), '')
    writeFileSync(join(dir, 'lib/vk_swiftshader_icd.json'), '{}')
    symlinkSync(join(dir, 'lib/chromium'), join(dir, 'chromium'))
    expect(softwareVulkan(join(dir, 'chromium'))).toMatchObject({
      VK_ICD_FILENAMES: join(dir, 'lib/vk_swiftshader_icd.json'),
    })
  })
})
