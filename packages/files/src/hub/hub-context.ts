import { hubCacheDir } from './hub-cache-dir.ts'
import { hubEndpoint } from './hub-endpoint.ts'
import { hubEnv, isOn } from './hub-env.ts'
import { checkRepo, checkRevision, type HubType, repoFolder } from './hub-names.ts'
import { type HubToken, hubToken } from './hub-token.ts'

export interface HubOptions {
  /** A branch, a tag or a commit. Only a whole commit hash always names the same files. Default: `main`. */
  readonly revision?: string
  /** Default: `model`. */
  readonly type?: HubType
  /** Default: $HF_TOKEN, else the file that `hf auth login` writes; `false` sends none. It goes to the endpoint and no other host. */
  readonly token?: string | false
  /** Default: where huggingface_hub keeps its files. */
  readonly cacheDir?: string
  /** Only what is in the cache. Default: $HF_HUB_OFFLINE. */
  readonly offline?: boolean
  /** Default: $HF_ENDPOINT, else the Hugging Face hub. */
  readonly endpoint?: string
  /** Milliseconds to wait for an answer. Default 30,000. */
  readonly patienceMs?: number
  /** Milliseconds without a byte after which a connection counts as broken. Default 30,000. */
  readonly stallMs?: number
  /** How often in a row to take up a download again without a byte gained. Default 5. */
  readonly retries?: number
  readonly signal?: AbortSignal
  /** Default: the global one. */
  readonly fetch?: typeof fetch
}

/** One repository at one revision of a hub, with all that the environment decides. */
export interface HubRemote extends Pick<HubOptions, 'signal' | 'fetch' | 'stallMs' | 'retries'> {
  readonly repo: string
  readonly type: HubType
  readonly revision: string
  readonly endpoint: string
  readonly token: HubToken | undefined
  readonly patienceMs: number
}

/** The same with its place in a cache on disk. */
export interface HubContext extends HubRemote {
  readonly offline: boolean
  readonly cacheDir: string
  /** The repository's folder in the cache: blobs, refs, snapshots. */
  readonly folder: string
}

export const hubRemote = async (repo: string, options: HubOptions): Promise<HubRemote> => {
  const { revision = 'main', type = 'model', patienceMs = 30_000, stallMs, retries, signal, fetch } = options
  const endpoint = hubEndpoint(options.endpoint)
  return {
    repo: checkRepo(repo),
    type,
    revision: checkRevision(repo, revision),
    endpoint,
    token: await hubToken(options.token, endpoint),
    patienceMs,
    ...(stallMs !== undefined && { stallMs }),
    ...(retries !== undefined && { retries }),
    ...(signal && { signal }),
    ...(fetch && { fetch }),
  }
}

export const hubContext = async (repo: string, options: HubOptions): Promise<HubContext> => {
  const { resolve } = await import('node:path')
  const remote = await hubRemote(repo, options)
  const { HF_HUB_OFFLINE, TRANSFORMERS_OFFLINE } = hubEnv()
  const cacheDir = resolve(options.cacheDir ?? hubCacheDir())
  return {
    ...remote,
    offline: options.offline ?? isOn(HF_HUB_OFFLINE || TRANSFORMERS_OFFLINE),
    cacheDir,
    folder: `${cacheDir}/${repoFolder(repo, remote.type)}`,
  }
}
