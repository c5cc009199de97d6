import { GraftError } from '@graftjs/tensor/error'
import { type Env, hubEnv } from './hub-env.ts'

/** The hub's address without a slash at its end: the one given, else $HF_ENDPOINT, else the Hugging Face hub. */
export const hubEndpoint = (given?: string, env: Env = hubEnv()): string => {
  const text = given || env.HF_ENDPOINT || 'https://huggingface.co'
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url && /^https?:$/.test(url.protocol) && !url.username && !url.password && !url.search && !url.hash)
    return text.replace(/\/+$/, '')
  throw new GraftError({
    code: 'bad-option',
    culprit: given ? 'endpoint' : 'HF_ENDPOINT',
    // The address itself stays out of it: it may hold a password.
    given: url?.username || url?.password ? 'an address with a password' : 'no address of a hub',
    expected: 'such as https://huggingface.co; a token goes into HF_TOKEN',
  })
}
