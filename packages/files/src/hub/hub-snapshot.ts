import { GraftError, isGraftError } from '@graftjs/tensor/error'
import { askRetries, orNone } from './hub-ask.ts'
import { knownCommit, noteCommit } from './hub-cache.ts'
import { type HubContext, type HubOptions, hubContext } from './hub-context.ts'
import { notCached } from './hub-fault.ts'
import { fileOf } from './hub-file.ts'
import { askCommit, listFiles } from './hub-list.ts'
import { checkFile } from './hub-names.ts'
import { matchPattern } from './match-pattern.ts'

export interface HubSnapshotOptions extends HubOptions {
  /** Files by name; one that is not there is an error. */
  readonly files?: readonly string[]
  /** Files by name, taken where the repository has them. */
  readonly optional?: readonly string[]
  /** Files by pattern, such as `*.json` or `onnx/`. All files where nothing is named. */
  readonly allow?: string | readonly string[]
  /** Patterns of files that `allow` would take and that are left out. */
  readonly ignore?: string | readonly string[]
  /** Asked when all of the above is there, again until it names no more: what an index or a config leads to. */
  readonly more?: (soFar: HubSnapshot) => Promise<readonly string[]>
  /** Bytes that are there of a file. Not called for what is in the cache. */
  readonly onProgress?: (file: string, received: number, total: number | undefined) => void
}

export interface HubSnapshot {
  /** Holds the files under their names, and those that others have fetched of the same commit. Not to be written to. */
  readonly folder: string
  readonly commit: string
  /** Of those asked for, the ones that are there. */
  readonly files: readonly string[]
}

/**
 * Several files of a repository, all of one commit: what a branch or tag names is asked once. The cache notes the commit only when
 * all of them are there, so that a download which is cut off leaves the version before it in use offline. See `hubFile`.
 */
export const hubSnapshot = async (repo: string, options: HubSnapshotOptions = {}): Promise<HubSnapshot> => {
  const hub = await hubContext(repo, options)
  const { commit, fault } = await resolved(hub)
  const pinned: HubContext = { ...hub, revision: commit, offline: hub.offline || fault !== undefined }
  try {
    const files = await collect(pinned, options)
    if (files.length === 0) throw nothing(hub)
    await noteCommit(hub, commit)
    return { folder: `${hub.folder}/snapshots/${commit}`, commit, files }
  } catch (error) {
    // The cache was only the second choice: why the hub could not be asked is what there is to mend.
    throw fault && isGraftError(error) && error.code === 'not-cached' ? fault : error
  }
}

/** The commit, and, where only the cache could tell, why the hub could not. */
const resolved = async (hub: HubContext): Promise<{ commit: string; fault?: unknown }> => {
  const known = await knownCommit(hub)
  if (known === hub.revision) return { commit: known }
  if (hub.offline && known === undefined) throw notCached(hub)
  if (hub.offline) return { commit: known! }
  try {
    return { commit: await askCommit(hub, askRetries(hub, known)) }
  } catch (fault) {
    orNone(known)(fault)
    return { commit: known!, fault }
  }
}

const collect = async (hub: HubContext, options: HubSnapshotOptions): Promise<string[]> => {
  const { files, optional, allow, ignore, more, onProgress } = options
  const got = new Set<string>()
  const get = async (file: string, told?: Parameters<typeof fileOf>[3]): Promise<void> => {
    if (got.has(checkFile(hub.repo, file))) return
    await fileOf(hub, file, onProgress && ((received, total) => onProgress(file, received, total)), told)
    got.add(file)
  }
  for (const file of files ?? []) await get(file)
  for (const file of optional ?? []) await get(file).catch(ifMissing)
  if (allow !== undefined || ignore !== undefined || !(files ?? optional)) {
    const listed = await listFiles(hub, askRetries(hub, undefined))
    for (const [file, facts] of listed) if (isWanted(file, allow, ignore)) await get(file, facts)
  }
  const soFar = (): HubSnapshot => ({
    folder: `${hub.folder}/snapshots/${hub.revision}`,
    commit: hub.revision,
    files: [...got],
  })
  for (;;) {
    const names = ((await more?.(soFar())) ?? []).filter((file) => !got.has(file))
    if (names.length === 0) return [...got]
    for (const file of names) await get(file)
  }
}

const ifMissing = (error: unknown): void => {
  if (!isGraftError(error) || !['no-such-file', 'not-cached'].includes(error.code)) throw error
}

const isWanted = (file: string, allow: HubSnapshotOptions['allow'], ignore: HubSnapshotOptions['ignore']): boolean => {
  const fits = (patterns: string | readonly string[]): boolean =>
    [patterns].flat().some((pattern) => matchPattern(file, pattern))
  return (allow === undefined || fits(allow)) && !(ignore !== undefined && fits(ignore))
}

const nothing = ({ repo, revision }: HubContext): GraftError =>
  new GraftError({
    code: 'no-such-file',
    culprit: repo,
    message: `${repo}: no file at ${revision} fits what was asked for; leave out allow and ignore to take all`,
  })
