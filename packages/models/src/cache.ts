import type { Cache, Memory } from '@graftjs/core'
import { clone, concat, detached, dispose, keep, scope, type Tensor } from '@graftjs/tensor'

/** Keys and values of the tokens seen so far. Dispose it when the text is done. */
export interface KeyValueCache extends Cache {
  dispose(): void
}

interface Seen {
  readonly k: Tensor
  readonly v: Tensor
  readonly segments: Tensor
}

export const createCache = (): KeyValueCache => {
  const layers = new Map<number, Seen>()
  let length = 0
  let memory: Memory | undefined
  return {
    get length() {
      return length
    },
    advance: (tokens) => {
      length += tokens
    },
    extend: (layer, k, v, segments) => {
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
