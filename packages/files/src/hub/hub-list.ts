import { GraftError } from '@graftjs/tensor/error'
import { compareUtf8 } from '../compare-utf8.ts'
import { reason } from '../follow.ts'
import { isJsonObject, type Json, strictJson } from '../strict-json.ts'
import { ask, type HubFacts } from './hub-ask.ts'
import { replaceText } from './hub-cache.ts'
import type { HubContext, HubRemote } from './hub-context.ts'
import { hubFault } from './hub-fault.ts'
import { isCommit } from './hub-names.ts'
import { readBody } from './read-body.ts'

/** The commit that the revision names now, as the hub says. */
export const askCommit = async (hub: HubRemote, retries: number): Promise<string> => {
  const url = `${api(hub)}/revision/${encodeURIComponent(hub.revision)}`
  const { json } = await askJson(hub, url, retries)
  if (isJsonObject(json) && typeof json.sha === 'string' && isCommit(json.sha)) return json.sha
  throw noList(hub, url, 'no commit')
}

/** The files of the commit that `hub` is pinned to, with what the hub says of each; kept as huggingface_hub keeps them. */
export const listFiles = async (hub: HubContext, retries: number): Promise<ReadonlyMap<string, HubFacts>> => {
  const path = `${hub.folder}/trees/${hub.revision}.json`
  const kept = await readTree(path)
  if (kept) return factsOf(hub, kept)
  if (hub.offline) return factsOf(hub, await presentFiles(hub))
  const files = await askTree(hub, retries)
  const text = JSON.stringify({ format_version: 1, files }, null, 1)
  await replaceText(path, text).catch(() => {})
  return factsOf(hub, files)
}

/** The same from the hub alone. */
export const askFiles = async (hub: HubRemote, retries: number): Promise<ReadonlyMap<string, HubFacts>> =>
  factsOf(hub, await askTree(hub, retries))

const askTree = async (hub: HubRemote, retries: number): Promise<Tree> => {
  const files: Tree = {}
  let url: string | undefined = `${api(hub)}/tree/${hub.revision}?recursive=true`
  for (let pages = 1; url !== undefined; pages++) {
    if (pages > MAX_PAGES) throw noList(hub, url, `more than ${MAX_PAGES} pages of a list`)
    const page: Page = await askJson(hub, url, retries)
    if (!Array.isArray(page.json)) throw noList(hub, url, 'no list of files')
    for (const entry of page.json) Object.assign(files, treeEntry(entry))
    url = page.next
  }
  return Object.fromEntries(Object.entries(files).sort(([a], [b]) => compareUtf8(a, b)))
}

interface TreeEntry {
  readonly size: number
  readonly blob_id: string
  readonly lfs_sha256?: string
  readonly lfs_size?: number
  readonly xet_hash?: string
}
type Tree = Record<string, TreeEntry | undefined>

const api = ({ endpoint, type, repo }: HubRemote): string => `${endpoint}/api/${type}s/${repo}`

const factsOf = (hub: HubRemote, tree: Tree): ReadonlyMap<string, HubFacts> =>
  new Map(
    Object.entries(tree).map(([path, entry]) => [
      path,
      {
        commit: hub.revision,
        etag: entry?.lfs_sha256 ?? entry?.blob_id ?? '',
        size: entry?.lfs_size ?? entry?.size,
      },
    ]),
  )

/** An entry of the hub's answer under huggingface_hub's names; nothing for a folder. */
const treeEntry = (entry: Json): Tree => {
  if (!isJsonObject(entry) || entry.type !== 'file') return {}
  const { path, oid, size, xetHash } = entry
  const lfs = isJsonObject(entry.lfs) ? entry.lfs : undefined
  if (typeof path !== 'string' || typeof size !== 'number' || !isHash(oid, 40)) return {}
  const large = lfs && isHash(lfs.oid, 64) && typeof lfs.size === 'number'
  return {
    [path]: {
      size,
      blob_id: oid,
      ...(large && { lfs_sha256: lfs.oid as string, lfs_size: lfs.size as number }),
      ...(isHash(xetHash, 64) && { xet_hash: xetHash }),
    },
  }
}

const isHash = (value: Json | undefined, digits: number): value is string =>
  typeof value === 'string' && value.length === digits && /^[0-9a-f]+$/.test(value)

/** What was kept of a commit's list. One that cannot be read is asked for again. */
const readTree = async (path: string): Promise<Tree | undefined> => {
  const { readFile } = await import('node:fs/promises')
  try {
    const json = strictJson(await readFile(path, 'utf8'), path)
    if (!isJsonObject(json) || json.format_version !== 1 || !isJsonObject(json.files)) return undefined
    const entries = Object.values(json.files)
    const fits = entries.every(
      (entry) =>
        isJsonObject(entry) &&
        isHash(entry.blob_id, 40) &&
        (entry.lfs_sha256 === undefined || isHash(entry.lfs_sha256, 64)),
    )
    return fits ? (json.files as unknown as Tree) : undefined
  } catch {
    return undefined
  }
}

/** Offline and without a list, the files of the commit are those that are there. */
const presentFiles = async ({ folder, revision }: HubContext): Promise<Tree> => {
  const { readdir } = await import('node:fs/promises')
  const root = `${folder}/snapshots/${revision}`
  const names = async (dir: string): Promise<string[]> => {
    const entries = await readdir(`${root}/${dir}`, { withFileTypes: true }).catch(() => [])
    const found = entries.map((entry) => (entry.isDirectory() ? names(`${dir}${entry.name}/`) : [dir + entry.name]))
    return (await Promise.all(found)).flat()
  }
  return Object.fromEntries((await names('')).map((name) => [name, undefined]))
}

interface Page {
  readonly json: Json
  /** Where the rest of a long list is. */
  readonly next: string | undefined
}

const askJson = (hub: HubRemote, url: string, retries: number): Promise<Page> =>
  ask(hub, { url, retries }, async ({ response, named }) => {
    const { status, headers } = response
    if (status !== 200) {
      await response.body?.cancel()
      throw hubFault(hub, undefined, { status, named })
    }
    const text = await readText(hub, url, response)
    const next = /<([^>]+)>\s*;\s*rel="next"/.exec(headers.get('link') ?? '')?.[1]
    // The token goes along: a list that goes on at another host is none of this hub's.
    if (next && new URL(next, url).origin !== new URL(hub.endpoint).origin) throw noList(hub, url, 'a list elsewhere')
    return { json: strictJson(text, url), next: next && new URL(next, url).href }
  })

const MAX_TEXT = 2 ** 26
const MAX_PAGES = 1000

const readText = async (hub: HubRemote, url: string, { body }: Response): Promise<string> => {
  const { patienceMs, stallMs = 30_000 } = hub
  const decoder = new TextDecoder()
  let text = ''
  try {
    await readBody(body!, Math.min(patienceMs, stallMs), (bytes) => {
      text += decoder.decode(bytes, { stream: true })
      if (text.length > MAX_TEXT) throw noList(hub, url, `more than ${MAX_TEXT} characters`)
    })
    return text + decoder.decode()
  } catch (cause) {
    if (cause instanceof GraftError) throw cause
    const message = `${url}: ${reason(cause as Error)}`
    throw new GraftError({ code: hub.signal?.aborted ? 'aborted' : 'no-connection', culprit: url, message, cause })
  }
}

const noList = (hub: HubRemote, culprit: string, given: string): GraftError =>
  new GraftError({ code: 'no-hub', culprit, given, expected: `the answer of a Hugging Face hub at ${hub.endpoint}` })
