// The browser of the portable tests: where it is, and how CI comes by one.
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, realpathSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'

/** Whether a missing browser or WebGPU adapter is a fault (CI) or a skip (a machine of someone's own). */
export const required = () => Boolean(process.env.GRAFT_CI || process.env.CI)

// Ubuntu's chromium is a snap, which sees no temporary folder of ours: Chrome comes first.
const NAMES = [
  'google-chrome',
  'google-chrome-stable',
  'chrome',
  'chromium',
  'chromium-browser',
  'microsoft-edge',
  'msedge',
]

const usualPlaces = () => {
  const { ProgramFiles, LOCALAPPDATA, HOME = '' } = process.env
  if (process.platform === 'darwin')
    return ['Chromium', 'Google Chrome', 'Microsoft Edge'].flatMap((app) =>
      ['', HOME].map((top) => `${top}/Applications/${app}.app/Contents/MacOS/${app}`),
    )
  if (process.platform === 'win32')
    return [ProgramFiles, process.env['ProgramFiles(x86)'], LOCALAPPDATA]
      .filter(Boolean)
      .flatMap((top) =>
        [
          'Chromium/Application/chrome.exe',
          'Google/Chrome/Application/chrome.exe',
          'Microsoft/Edge/Application/msedge.exe',
        ].map((path) => join(top, path)),
      )
  return []
}

/** The path of GRAFT_CHROME, or of a Chromium, Chrome or Edge that is installed; undefined where there is none. */
export const findBrowser = () => {
  if (process.env.GRAFT_CHROME) return process.env.GRAFT_CHROME
  const end = process.platform === 'win32' ? '.exe' : ''
  const onPath = NAMES.flatMap((name) =>
    (process.env.PATH ?? '').split(delimiter).map((folder) => join(folder, name + end)),
  )
  return [...onPath, ...usualPlaces()].find((path) => existsSync(path))
}

export const NO_BROWSER =
  'no Chromium, Chrome or Edge found: install one (Debian: apt-get install chromium), or set GRAFT_CHROME to its path'

/**
 * The environment in which Dawn finds the software Vulkan driver (SwiftShader) that a browser brings with it; undefined where
 * the browser brings none. The browser is a start script or a link, as a rule: the driver lies beside the program itself.
 */
export const softwareVulkan = (browser) => {
  const folders = [
    dirname(realpathSync(browser)),
    '/usr/lib/chromium',
    '/usr/lib/chromium-browser',
    '/opt/google/chrome',
  ]
  const folder = folders.find((f) => existsSync(join(f, 'vk_swiftshader_icd.json')))
  if (!folder) return undefined
  const driver = join(folder, 'vk_swiftshader_icd.json')
  const libraries = [process.env.LD_LIBRARY_PATH, folder].filter(Boolean).join(delimiter)
  // The Vulkan loader lies there as well, for machines without one. VK_DRIVER_FILES is the newer loaders' name.
  return { VK_ICD_FILENAMES: driver, VK_DRIVER_FILES: driver, LD_LIBRARY_PATH: libraries }
}

const isDebian = () =>
  existsSync('/etc/os-release') && /^ID(_LIKE)?=.*debian/m.test(readFileSync('/etc/os-release', 'utf8'))

/** In CI, as root of a Debian machine: installs Chromium where there is no browser. Nowhere else is anything installed. */
export const ensureBrowser = (fail) => {
  if (!required() || findBrowser()) return
  if (process.getuid?.() !== 0 || !isDebian()) fail(NO_BROWSER)
  process.stderr.write('Installing Chromium (once; a minute or so) …\n')
  for (const args of [['update'], ['install', '--yes', '--no-install-recommends', 'chromium']]) {
    const options = { encoding: 'utf8', env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } }
    const { status, stdout, stderr, error } = spawnSync('apt-get', ['-qq', ...args], options)
    if (error || status !== 0) fail(`apt-get ${args.join(' ')} failed\n${error?.message ?? ''}${stdout}${stderr}`)
  }
  if (!findBrowser()) fail(NO_BROWSER)
}
