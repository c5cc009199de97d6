import { execFile } from 'node:child_process'
import { access, mkdir, mkdtemp, readdir, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { cacheDir, sha256File, unzipEntry } from '@graftjs/files'

const PACKAGE = 'trl==1.16.0'

interface Wheel {
  readonly name: string
  readonly sha256: string
}

/** TRL's wheel, which has the chat templates of many models: from the cache, else by pip; verified either way. */
export const trlWheel = async ({ name, sha256 }: Wheel): Promise<string> => {
  const folder = join(cacheDir(), 'chat-templates')
  const file = join(folder, name)
  const there = await access(file).then(
    () => true,
    () => false,
  )
  if (!there) {
    await mkdir(folder, { recursive: true })
    const temporary = await mkdtemp(join(folder, 'wheel-'))
    try {
      await pipDownload(temporary)
      const [wheel] = (await readdir(temporary)).filter((entry) => entry.endsWith('.whl'))
      await rename(join(temporary, wheel!), file)
    } finally {
      await rm(temporary, { recursive: true, force: true })
    }
  }
  const found = await sha256File(file)
  if (found === sha256) return file
  await rm(file)
  throw new Error(`${file}: SHA-256 ${found}; expected ${sha256}`)
}

/** The source of a template in the wheel. */
export const templateSource = async (wheel: string, name: string): Promise<string> => {
  const temporary = await mkdtemp(join(cacheDir(), 'chat-templates', 'entry-'))
  try {
    const file = join(temporary, 'template.jinja')
    await unzipEntry(wheel, `trl/chat_templates/${name}.jinja`, file)
    return await readFile(file, 'utf8')
  } finally {
    await rm(temporary, { recursive: true, force: true })
  }
}

const pipDownload = async (into: string): Promise<void> => {
  const args = ['-m', 'pip', 'download', '--no-deps', '--quiet', '--disable-pip-version-check', '-d', into, PACKAGE]
  for (const python of ['python3', 'python']) {
    try {
      await promisify(execFile)(python, args, { timeout: 120_000 })
      return
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    }
  }
  throw new Error('no Python on this machine')
}
