import { GraftError } from '@graftjs/tensor/error'
import type { HubContext, HubRemote } from './hub-context.ts'

/** The part of an answer that says why there is no file. */
export interface Refusal {
  readonly status: number
  /** A header, or null. */
  readonly named: (header: string) => string | null
}

/** What a refusal of the hub means, and what would do. `file`: what was asked for; undefined for the repository itself. */
export const hubFault = (hub: HubRemote, file: string | undefined, { status, named }: Refusal): GraftError => {
  const said = named('x-error-message') ?? ''
  const kind = named('x-error-code') ?? ''
  if (kind === 'GatedRepo') return gated(hub)
  if (kind === 'RevisionNotFound') return noRevision(hub)
  if (kind === 'EntryNotFound' && file !== undefined) return noFile(hub, file)
  if (/disabled/i.test(said)) return fault(hub, 'disabled', 'the hub has closed it; another model would do')
  if (status === 401 && hub.token && (/credentials/i.test(said) || kind === '')) return badToken(hub, 'does not know')
  if (kind === 'RepoNotFound' || status === 401) return noRepo(hub)
  if (status === 403) return badToken(hub, 'does not let in')
  if (status === 404) return file === undefined ? noRepo(hub) : noFile(hub, file)
  if (status === 429)
    return fault(hub, 'busy', 'the hub has had too many requests (status 429); wait some minutes, or set HF_TOKEN')
  const passes = status === 408 || status >= 500
  const then = passes ? 'try again later' : 'is HF_ENDPOINT the address of a Hugging Face hub?'
  return fault(hub, passes ? 'busy' : 'bad-status', `${hub.endpoint} answered with status ${status}; ${then}`)
}

const fault = ({ repo }: HubRemote, code: string, what: string): GraftError =>
  new GraftError({ code, culprit: repo, message: `${repo}: ${what}` })

const noRepo = (hub: HubRemote): GraftError => {
  const token = hub.token ? `use a token that may read it in place of ${hub.token.from}` : 'set HF_TOKEN'
  const what = `${hub.endpoint} has no such ${hub.type}, or it is private; check the name, or ${token}`
  return fault(hub, 'no-such-repo', what)
}

const gated = (hub: HubRemote): GraftError => {
  const { endpoint, repo, token } = hub
  const page = `${endpoint}/${hub.type === 'dataset' ? 'datasets/' : ''}${repo}`
  const then = token
    ? `with the account of ${token.from}, and let that token read gated repositories`
    : 'then set HF_TOKEN to a token of your account'
  return fault(hub, 'gated', `its owner lets in only who has asked; ask on ${page} ${then}`)
}

const badToken = (hub: HubRemote, what: string): GraftError => {
  const { endpoint, token } = hub
  return token
    ? fault(hub, 'bad-token', `${endpoint} ${what} the token of ${token.from}; make one at ${endpoint}/settings/tokens`)
    : fault(hub, 'bad-token', `${endpoint} does not let in who brings no token; set HF_TOKEN`)
}

const noRevision = (hub: HubRemote): GraftError =>
  fault(hub, 'no-such-revision', `there is no branch, tag or commit ${JSON.stringify(hub.revision)}; try main`)

export const noFile = (hub: HubRemote, file: string): GraftError => {
  const culprit = `${hub.repo}/${file}`
  const message = `${hub.repo}: there is no file ${JSON.stringify(file)} at ${hub.revision}; its files are listed at `
  const page = `${hub.endpoint}/${hub.type === 'dataset' ? 'datasets/' : ''}${hub.repo}/tree/${hub.revision}`
  return new GraftError({ code: 'no-such-file', culprit, message: message + page })
}

/** `file`: undefined where nothing of the revision is known. */
export const notCached = (hub: HubContext, file?: string): GraftError => {
  const what =
    file === undefined ? `nothing of ${hub.revision} is` : `${JSON.stringify(file)} at ${hub.revision} is not`
  return new GraftError({
    code: 'not-cached',
    culprit: file === undefined ? hub.repo : `${hub.repo}/${file}`,
    message:
      `${hub.repo}: ${what} in ${hub.cacheDir}, and offline the hub is not asked; ` +
      'fetch it once online, without HF_HUB_OFFLINE and the option offline',
  })
}
