/** Where downloads are kept, outside any tree: $GRAFT_CACHE, else $XDG_CACHE_HOME/graft, else ~/.cache/graft. */
export const cacheDir = (env: Readonly<Record<string, string | undefined>> = process.env): string => {
  if (env.GRAFT_CACHE) return env.GRAFT_CACHE
  return `${env.XDG_CACHE_HOME ?? `${env.HOME ?? env.USERPROFILE ?? '.'}/.cache`}/graft`
}
