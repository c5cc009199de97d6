import { atomicWrite } from '../atomic-write.ts'
import { saveId } from '../temporary-name.ts'
import type { HubContext } from './hub-context.ts'
import { hubEnv, isOn } from './hub-env.ts'
import { isCommit } from './hub-names.ts'

// The layout is huggingface_hub's: blobs/<etag> holds the bytes, snapshots/<commit>/<file> links to them, refs/<revision> holds the
// commit that a branch or tag named last, .no_exist/<commit>/<file> marks what a commit does not have.

/** Where a file of a commit is to be found. */
export const pointerOf = ({ folder }: HubContext, commit: string, file: string): string =>
  `${folder}/snapshots/${commit}/${file}`

/** Bytes of a file, or of what it links to; undefined where there is none. */
export const sizeAt = async (path: string): Promise<number | undefined> => {
  const { stat } = await import('node:fs/promises')
  const found = await stat(path).catch(() => undefined)
  return found?.isFile() ? found.size : undefined
}

/** The commit that the revision named when the hub was last asked. */
export const knownCommit = async ({ folder, revision }: HubContext): Promise<string | undefined> => {
  if (isCommit(revision)) return revision
  const { readFile } = await import('node:fs/promises')
  const commit = await readFile(`${folder}/refs/${revision}`, 'utf8').catch(() => '')
  return isCommit(commit.trim()) ? commit.trim() : undefined
}

/** Notes the commit. A cache that can only be read stays as it is. */
export const noteCommit = async (hub: HubContext, commit: string): Promise<void> => {
  if (commit === hub.revision || commit === (await knownCommit(hub))) return
  await replaceText(`${hub.folder}/refs/${hub.revision}`, commit).catch(() => {})
}

export const isAbsent = async ({ folder }: HubContext, commit: string, file: string): Promise<boolean> =>
  (await sizeAt(`${folder}/.no_exist/${commit}/${file}`)) !== undefined

/** Notes that a commit has no such file: it is not asked for again. */
export const noteAbsent = async ({ folder }: HubContext, commit: string, file: string): Promise<void> => {
  const { mkdir, writeFile } = await import('node:fs/promises')
  const { dirname } = await import('node:path')
  const path = `${folder}/.no_exist/${commit}/${file}`
  await mkdir(dirname(path), { recursive: true })
    .then(() => writeFile(path, ''))
    .catch(() => {})
}

/** Says to backup programs what the folder is. */
export const tagCache = async ({ cacheDir }: HubContext): Promise<void> => {
  const { writeFile } = await import('node:fs/promises')
  const text =
    'Signature: 8a477f597d28d172789f06886806bc55\n# This folder is a cache of files of the Hugging Face hub.\n'
  await writeFile(`${cacheDir}/CACHEDIR.TAG`, text, { flag: 'wx' }).catch(() => {})
}

/**
 * Gives a whole blob its name in a snapshot: a relative link, or, where the system has none, the file itself (`fresh`: nothing else
 * links to the blob) or a copy. The name is never without a whole file once it had one.
 */
export const linkBlob = async (hub: HubContext, etag: string, pointer: string, fresh: boolean): Promise<void> => {
  const { copyFile, mkdir, rename } = await import('node:fs/promises')
  const { dirname, relative } = await import('node:path')
  const blob = `${hub.folder}/blobs/${etag}`
  await mkdir(dirname(pointer), { recursive: true })
  if (await symlinked(relative(dirname(pointer), blob), blob, pointer)) return
  if (fresh) return rename(blob, pointer)
  const temporary = temporaryBlob(blob)
  await copyFile(blob, temporary)
  await rename(temporary, pointer)
}

/** False where the system has no links. Beside the blobs a link that was not renamed is swept with other remains. */
const symlinked = async (target: string, blob: string, pointer: string): Promise<boolean> => {
  if (isOn(hubEnv().HF_HUB_DISABLE_SYMLINKS)) return false
  const { rename, rm, symlink } = await import('node:fs/promises')
  const temporary = temporaryBlob(blob)
  try {
    await symlink(target, temporary)
  } catch {
    return false
  }
  try {
    await rename(temporary, pointer)
    return true
  } catch (error) {
    await rm(temporary, { force: true })
    throw error
  }
}

const temporaryBlob = (blob: string): string => `${blob}.${saveId()}.incomplete`

/** Written beside and renamed: who reads it meanwhile sees the old text or the new. */
export const replaceText = (path: string, text: string): Promise<void> =>
  atomicWrite(path, new TextEncoder().encode(text))
