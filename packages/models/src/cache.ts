import type { Cache, Memory } from '@graftjs/core'
import { clone, concat, detached, dispose, keep, scope, type Tensor } from '@graftjs/tensor'
import { GraftError } from '@graftjs/tensor/error'

/** Keys and values of the tokens seen so far. Dispose it when the text is done. */
export interface KeyValueCache extends Cache {
  dispose(): void
}

interface Seen {
  readonly k: Tensor
  readonly v: Tensor
  readonly segments: Tensor
}

const ranTwice = (layer: number): GraftError =>
  new GraftError({
    code: 'cache-extended-twice',
    culprit: `layer ${layer}`,
    message: `layer ${layer} was put into the cache twice in one call: a patch around it that calls next twice must declare refuses: ['cache'], and a patch never extends the cache itself`,
  })

export const createCache = (): KeyValueCache => {
  const layers = new Map<number, Seen>()
  const extended = new Set<number>()
  let length = 0
  let memory: Memory | undefined
  return {
    get length() {
      return length
    },
    advance: (tokens) => {
      length += tokens
      extended.clear()
    },
    extend: (layer, k, v, segments) => {
      if (extended.has(layer)) throw ranTwice(layer)
      extended.add(layer)
      const before = layers.get(layer)
      const all = {
        k: grown(before?.k, k),
        v: grown(before?.v, v),
        segments: grown(before?.segments, segments),
      }
      layers.set(layer, all)
      return all
    },
    memory: (make) => {
      memory ??= keptMemory(make())
      return memory
    },
    dispose: () => {
      for (const seen of layers.values()) dispose(Object.values(seen))
      if (memory) dispose([memory.hidden, memory.segments])
      layers.clear()
      memory = undefined
      length = 0
    },
  }
}

const grown = (before: Tensor | undefined, more: Tensor): Tensor => {
  const whole = keep(scope(() => (before ? concat([before, more], 1) : clone(more))))
  if (before) dispose(before)
  return whole
}

const keptMemory = ({ hidden, segments }: Memory): Memory =>
  detached(() => ({ hidden: keep(clone(hidden)), segments: keep(clone(segments)) }))
