import { GraftError, isGraftError } from '@graftjs/tensor/error'
import { download } from '../download.ts'
import { hubUrl } from '../hub-url.ts'
import { askFile, askRetries, type HubFacts, orNone } from './hub-ask.ts'
import { isAbsent, knownCommit, linkBlob, noteCommit, pointerOf, sizeAt, tagCache } from './hub-cache.ts'
import { type HubContext, type HubOptions, hubContext } from './hub-context.ts'
import { hubFault, noFile, notCached } from './hub-fault.ts'
import { checkFile, isCommit } from './hub-names.ts'

export interface HubFileOptions extends HubOptions {
  /** Bytes that are there of the whole file. Not called for a file that is in the cache. */
  readonly onProgress?: (received: number, total: number | undefined) => void
}

export interface HubFile {
  /** The file in the cache. Not to be written to: other revisions and programs share it. */
  readonly path: string
  /** The commit that it is of: a revision that always names this file. */
  readonly commit: string
}

/**
 * A file of a repository of the Hugging Face hub, by way of the cache that huggingface_hub uses too. A branch or tag is asked for
 * at the hub each time, a commit that is in the cache never. A new file takes its name when its hash is the one that the hub
 * states. Where the hub cannot be reached, what the revision named last is taken from the cache.
 */
export const hubFile = async (repo: string, file: string, options: HubFileOptions = {}): Promise<HubFile> =>
  fileOf(await hubContext(repo, options), checkFile(repo, file), options.onProgress)

/** `told`: what the hub has said of the file already. */
export const fileOf = async (
  hub: HubContext,
  file: string,
  onProgress?: HubFileOptions['onProgress'],
  told?: HubFacts,
): Promise<HubFile> => {
  const kept = await fromCache(hub, file)
  if (kept && (hub.offline || isCommit(hub.revision))) return kept
  if (isCommit(hub.revision) && (await isAbsent(hub, hub.revision, file))) throw noFile(hub, file)
  if (hub.offline) throw notCached(hub, file)
  const facts = told ?? (await askFile(hub, file, askRetries(hub, kept)).catch(orNone(kept)))
  return facts ? place(hub, file, facts, onProgress) : kept!
}

const fromCache = async (hub: HubContext, file: string): Promise<HubFile | undefined> => {
  const commit = await knownCommit(hub)
  if (commit === undefined) return undefined
  const path = pointerOf(hub, commit, file)
  return (await sizeAt(path)) === undefined ? undefined : { path, commit }
}

const place = async (
  hub: HubContext,
  file: string,
  facts: HubFacts,
  onProgress: HubFileOptions['onProgress'],
): Promise<HubFile> => {
  const { commit, etag, size } = facts
  const path = pointerOf(hub, commit, file)
  const fits = (found: number | undefined): boolean => found !== undefined && (size === undefined || found === size)
  if (!fits(await sizeAt(path))) {
    const blob = `${hub.folder}/blobs/${etag}`
    const fresh = !fits(await sizeAt(blob))
    if (fresh) await fetchBlob(hub, file, facts, blob, onProgress)
    await linkBlob(hub, etag, path, fresh).catch((cause: Error) => {
      const message = `${path}: cannot be written (${cause.message})`
      throw new GraftError({ code: 'write-failed', culprit: path, message, cause })
    })
  }
  await noteCommit(hub, commit)
  return { path, commit }
}

const fetchBlob = async (
  hub: HubContext,
  file: string,
  { commit, etag, size }: HubFacts,
  blob: string,
  onProgress: HubFileOptions['onProgress'],
): Promise<void> => {
  const { token, patienceMs, stallMs, retries, signal, fetch } = hub
  try {
    await download({
      // By its commit: a branch may have moved since it was asked for.
      url: hubUrl(hub.repo, file, { ...hub, revision: commit }),
      file: blob,
      ...(etag.length === 64 ? { sha256: etag } : { gitHash: etag }),
      ...(size !== undefined && { size }),
      ...(token && { token: token.value }),
      patienceMs,
      ...(stallMs !== undefined && { stallMs }),
      ...(retries !== undefined && { retries }),
      ...(signal && { signal }),
      ...(fetch && { fetch }),
      ...(onProgress && { onProgress }),
      explain: ({ status, headers }) => hubFault(hub, file, { status, named: (name) => headers.get(name) }),
    })
  } catch (error) {
    // On some systems a file that another program has open cannot be replaced; then that program's, which is whole, is there.
    const there = isGraftError(error) && error.code === 'write-failed' && (await sizeAt(blob)) === size
    if (!there) throw error
  }
  await tagCache(hub)
}
