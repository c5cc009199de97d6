import { GraftError } from '@graftjs/tensor/error'
import { type Env, hubEnv } from './hub-env.ts'

/**
 * Where huggingface_hub keeps what it downloads, by its rules: $HF_HUB_CACHE, else $HUGGINGFACE_HUB_CACHE, else $HF_HOME/hub, else
 * $XDG_CACHE_HOME/huggingface/hub, else ~/.cache/huggingface/hub. An empty variable counts as none.
 */
export const hubCacheDir = (env: Env = hubEnv()): string => {
  const own = env.HF_HUB_CACHE || env.HUGGINGFACE_HUB_CACHE
  return own ? expanded(own, env) : `${hubHome(env)}/hub`
}

/** The folder above it, where the token lies too. */
export const hubHome = (env: Env = hubEnv()): string =>
  expanded(env.HF_HOME || `${env.XDG_CACHE_HOME || '~/.cache'}/huggingface`, env)

/** `~` and `$NAME` at their values, as Python's expanduser and expandvars do. */
export const expanded = (path: string, env: Env): string =>
  path
    .replace(/^~(?=$|[/\\])/, () => userFolder(env))
    .replace(/\$(?:(\w+)|\{(\w+)\})/g, (whole, plain: string, braced: string) => env[plain ?? braced] ?? whole)

const userFolder = (env: Env): string => {
  const home = env.HOME || env.USERPROFILE
  if (home) return home
  throw new GraftError({
    code: 'no-cache',
    culprit: 'hub cache',
    given: 'neither HOME nor a cache folder in the environment',
    expected: 'HF_HUB_CACHE=FOLDER, or the option cacheDir',
  })
}
