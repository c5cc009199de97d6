import type { Cache } from '@graftjs/core'
import { clone, concat, dispose, isTaping, keep, scope, type Tensor } from '@graftjs/tensor'
import { GraftError } from '@graftjs/tensor/error'

/** Keys and values of the tokens seen so far. Dispose it when the text is done. */
export interface KeyValueCache extends Cache {
  /** Repeats or picks rows. */
  dispose(): void
}

export const createCache = (): KeyValueCache => {
  const layers = new Map<number, { k: Tensor; v: Tensor }>()
  let segments: Tensor | undefined
  const grow = (before: Tensor | undefined, more: Tensor): Tensor => {
    const whole = keep(scope(() => (before ? concat([before, more], 1) : clone(more))))
    if (before) dispose(before)
    return whole
  }
  return {
    get length() {
      return segments?.shape[1] ?? 0
    },
    get segments() {
      return segments!
    },
    extendSegments: (more) => {
      segments = grow(segments, more)
    },
    extend: (layer, k, v) => {
      if (isTaping())
        throw new GraftError({
          code: 'cache-while-training',
          culprit: 'cache',
          message: 'cache: it is for generating; train without one',
        })
      const before = layers.get(layer)
      const all = { k: grow(before?.k, k), v: grow(before?.v, v) }
      layers.set(layer, all)
      return all
    },
    dispose: () => {
      for (const { k, v } of layers.values()) dispose([k, v])
      if (segments) dispose(segments)
      layers.clear()
      segments = undefined
    },
  }
}
