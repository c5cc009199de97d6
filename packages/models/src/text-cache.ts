import { createCache, type KeyValueCache } from './cache.ts'

/**
 * What a model has read of one growing text, such as a chat, kept from one `generate` to the next: what a new prompt begins
 * with as the old text did is not read again. It belongs to one model; another adapter reads the text anew. Dispose it when
 * the text is done.
 */
export interface TextCache {
  /** The tokens that it holds. */
  readonly ids: readonly number[]
  dispose(): void
}

/** The same as `generate` uses it. */
export interface OpenTextCache extends TextCache {
  readonly cache: KeyValueCache
  /**
   * Forgets what `prompt` does not begin with, and what another `reader` read; returns how many of its tokens need not be
   * read. The last always is.
   */
  begin(prompt: readonly number[], reader?: string): number
  /** These were read. */
  read(ids: readonly number[]): void
}

export const textCache = (): TextCache => {
  const cache = createCache()
  let ids: number[] = []
  let last = ''
  const opened: OpenTextCache = {
    cache,
    get ids() {
      return ids
    },
    begin: (prompt, reader = '') => {
      const shared = reader === last ? Math.min(sharedStart(ids, prompt), prompt.length - 1) : 0
      last = reader
      cache.cut(shared)
      ids = ids.slice(0, shared)
      return shared
    },
    read: (more) => void ids.push(...more),
    dispose: () => {
      cache.dispose()
      ids = []
    },
  }
  return opened
}

const sharedStart = (a: readonly number[], b: readonly number[]): number => {
  const at = a.findIndex((id, i) => id !== b[i])
  return at < 0 ? a.length : at
}
