import { hubEndpoint } from './hub/hub-endpoint.ts'
import { checkFile, checkRepo, checkRevision, type HubType } from './hub/hub-names.ts'

export interface HubUrlOptions {
  /** Default: `main`. */
  readonly revision?: string
  readonly type?: HubType
  /** Default: $HF_ENDPOINT, else the Hugging Face hub. */
  readonly endpoint?: string
}

/** Where a file of a repository lies on the hub. */
export const hubUrl = (
  repo: string,
  file: string,
  { revision = 'main', type = 'model', endpoint = hubEndpoint() }: HubUrlOptions = {},
): string => {
  const path = checkFile(checkRepo(repo), file).split('/').map(encodeURIComponent).join('/')
  const pinned = encodeURIComponent(checkRevision(repo, revision))
  return `${endpoint}/${type === 'dataset' ? 'datasets/' : ''}${repo}/resolve/${pinned}/${path}`
}
