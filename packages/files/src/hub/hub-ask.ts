import { GraftError, isGraftError } from '@graftjs/tensor/error'
import { type Answer, follow } from '../follow.ts'
import { hubUrl } from '../hub-url.ts'
import { noteAbsent } from './hub-cache.ts'
import type { HubContext, HubRemote } from './hub-context.ts'
import { hubFault } from './hub-fault.ts'
import { isCommit } from './hub-names.ts'

/** What the hub says of a file. */
export interface HubFacts {
  readonly commit: string
  /** Its SHA-256 (64 digits), or, of a small file, its git hash (40 digits). */
  readonly etag: string
  /** Bytes, where the hub tells. */
  readonly size: number | undefined
}

/** Asks for the facts of a file, not for its bytes. */
export const askFile = async (hub: HubContext, file: string, retries: number): Promise<HubFacts> => {
  const url = hubUrl(hub.repo, file, hub)
  const enough = (answer: Answer): boolean => factsOf(answer) !== undefined
  const answer = await ask(hub, { url, method: 'HEAD', retries, enough }, async (answer) => answer)
  const facts = factsOf(answer)
  if (facts) return facts
  const { response, named } = answer
  const commit = named('x-repo-commit') ?? ''
  if (response.status < 400) throw noHub(hub, url)
  const fault = hubFault(hub, file, { status: response.status, named })
  if (fault.code === 'no-such-file' && isCommit(commit)) await noteAbsent(hub, commit, file)
  throw fault
}

const factsOf = ({ response, named }: Answer): HubFacts | undefined => {
  if (response.status >= 400) return undefined
  const moved = response.headers.has('location')
  const etag = /^(?:W\/)?"?([0-9a-f]{40}|[0-9a-f]{64})"?$/.exec(
    named('x-linked-etag') ?? (moved ? '' : response.headers.get('etag')) ?? '',
  )?.[1]
  const commit = named('x-repo-commit') ?? ''
  if (etag === undefined || !isCommit(commit)) return undefined
  // Of what comes compressed, the length is another.
  const whole = !moved && (response.headers.get('content-encoding') ?? 'identity') === 'identity'
  const size = named('x-linked-size') ?? (whole ? response.headers.get('content-length') : null)
  return { commit, etag, size: /^\d+$/.test(size ?? '') ? Number(size) : undefined }
}

const noHub = ({ endpoint }: HubRemote, culprit: string): GraftError =>
  new GraftError({
    code: 'no-hub',
    culprit,
    given: 'an answer without the commit and the hash of the file',
    expected: `a Hugging Face hub at ${endpoint}; is HF_ENDPOINT right, or a proxy in between?`,
  })

/** How often to try again to reach the hub: with something to go on with in the cache, once is enough. */
export const askRetries = ({ retries = 2 }: HubRemote, kept: unknown): number =>
  kept === undefined ? Math.min(retries, 2) : 0

/** Where there is something to go on with, a hub that cannot be reached is no fault. */
export const orNone =
  (kept: unknown) =>
  (error: unknown): undefined => {
    if (kept === undefined || !isGraftError(error) || !UNREACHED.includes(error.code)) throw error
    return undefined
  }

/** Faults of the way to the hub, of its service or of what it lets us see: none says that the cache is wrong. */
const UNREACHED = [
  ...['no-connection', 'no-answer', 'busy', 'bad-status', 'no-hub', 'bad-redirect'],
  ...['no-such-repo', 'gated', 'bad-token', 'disabled'],
]

interface HubAsk {
  readonly url: string
  readonly method?: 'GET' | 'HEAD'
  /** How often to try again after faults that may pass. */
  readonly retries: number
  readonly enough?: (answer: Answer) => boolean
}

/** Asks the hub and reads the answer. One that refuses is an answer; none is an error, which says that the hub cannot be reached. */
export const ask = async <T>(
  hub: HubRemote,
  { url, method = 'GET', retries, enough }: HubAsk,
  read: (answer: Answer) => Promise<T>,
): Promise<T> => {
  const { token, patienceMs, signal, fetch } = hub
  const headers = { 'accept-encoding': 'identity' }
  for (let failures = 1; ; failures++) {
    try {
      const how = { url, method, headers, token: token?.value, patienceMs, signal, fetch }
      const answer = await follow(enough ? { ...how, enough } : how)
      if (failures > retries || !(answer.response.status === 408 || answer.response.status >= 500))
        return await read(answer)
      await answer.response.body?.cancel()
    } catch (error) {
      if (failures > retries || !isGraftError(error) || error.code !== 'no-connection') throw unreached(hub, error)
    }
    await new Promise((done) => setTimeout(done, 150 * 2 ** failures))
  }
}

const unreached = (hub: HubRemote, cause: unknown): unknown => {
  if (!isGraftError(cause) || !['no-connection', 'no-answer'].includes(cause.code)) return cause
  const why = cause.message.replace(`${cause.culprit}: `, '')
  const message = `${hub.repo}: ${hub.endpoint} cannot be reached (${why}); check the connection and HF_ENDPOINT`
  return new GraftError({ code: cause.code, culprit: hub.repo, message, cause })
}
