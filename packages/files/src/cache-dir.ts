import { GraftError } from '@graftjs/tensor/error'

/** Where downloads are kept, outside any tree: $GRAFT_CACHE, else $XDG_CACHE_HOME/graft, else ~/.cache/graft. */
export const cacheDir = (env: Readonly<Record<string, string | undefined>> = process.env): string => {
  // An empty variable counts as none.
  if (env.GRAFT_CACHE) return env.GRAFT_CACHE
  if (env.XDG_CACHE_HOME) return `${env.XDG_CACHE_HOME}/graft`
  const home = env.HOME || env.USERPROFILE
  if (home) return `${home}/.cache/graft`
  throw new GraftError({
    code: 'no-cache',
    culprit: 'cache',
    given: 'neither HOME nor a cache folder in the environment',
    expected: 'GRAFT_CACHE=FOLDER',
  })
}
