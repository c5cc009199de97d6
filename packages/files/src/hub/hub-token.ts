import { GraftError } from '@graftjs/tensor/error'
import { expanded, hubHome } from './hub-cache-dir.ts'
import { hubEndpoint } from './hub-endpoint.ts'
import { type Env, hubEnv, isOn } from './hub-env.ts'

export interface HubToken {
  readonly value: string
  /** For errors, which never show the token itself: where it came from. */
  readonly from: string
}

/**
 * The token for an endpoint: the one given, else $HF_TOKEN, else the file that `hf auth login` writes. The last two are of the
 * endpoint that the environment names: another one does not get them. `false` is none.
 */
export const hubToken = async (
  given: string | false | undefined,
  endpoint: string,
  env: Env = hubEnv(),
): Promise<HubToken | undefined> => {
  if (given === false) return undefined
  if (given !== undefined) return checked(given, 'the option token')
  if (isOn(env.HF_HUB_DISABLE_IMPLICIT_TOKEN)) return undefined
  if (new URL(endpoint).origin !== new URL(hubEndpoint(undefined, env)).origin) return undefined
  for (const name of ['HF_TOKEN', 'HUGGING_FACE_HUB_TOKEN']) if (env[name]?.trim()) return checked(env[name], name)
  return fromFile(env)
}

const fromFile = async (env: Env): Promise<HubToken | undefined> => {
  if (!globalThis.process?.versions?.node) return undefined
  const { readFile } = await import('node:fs/promises')
  try {
    const path = env.HF_TOKEN_PATH ? expanded(env.HF_TOKEN_PATH, env) : `${hubHome(env)}/token`
    const text = await readFile(path, 'utf8')
    return text.trim() ? checked(text, `the file ${path}`) : undefined
  } catch (error) {
    // Without a home folder, without a file or without leave to read it there is no token.
    if (error instanceof GraftError && error.code === 'bad-token') throw error
    return undefined
  }
}

/** fetch would refuse other characters too, and show the token as it does. */
const checked = (text: string, from: string): HubToken => {
  const value = text.trim()
  if (/^[\x21-\x7e]+$/.test(value)) return { value, from }
  throw new GraftError({
    code: 'bad-token',
    culprit: from,
    given: value === '' ? 'nothing' : 'spaces or characters that a token cannot hold',
    expected: 'a token of https://huggingface.co/settings/tokens',
  })
}
