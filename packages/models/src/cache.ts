import type { Cache, Memory } from '@graftjs/core'
import { clone, concat, detached, dispose, gather, keep, scope, slice, type Tensor, tensor } from '@graftjs/tensor'
import { GraftError } from '@graftjs/tensor/error'

/** Keys and values of the tokens seen so far. Dispose it when the text is done. */
export interface KeyValueCache extends Cache {
  /** Forgets all but the first `length` tokens. Virtual ones, which stand in front, stay. */
  cut(length: number): void
  /** Row i goes on from what row `rows[i]` has read. An encoder's memory stays: rows trade places within one text. */
  reorder(rows: readonly number[]): void
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
  const forget = (): void => {
    for (const seen of layers.values()) dispose(Object.values(seen))
    if (memory) dispose([memory.hidden, memory.segments])
    layers.clear()
    memory = undefined
  }
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
    cut: (to) => {
      const gone = length - to
      // With no token left, what stood in front of the first goes too: it acts again in the next call.
      if (to <= 0) forget()
      else if (gone > 0) for (const [layer, seen] of layers) layers.set(layer, shortened(seen, gone))
      length = Math.max(0, Math.min(length, to))
    },
    reorder: (rows) => {
      for (const [layer, seen] of layers) layers.set(layer, gathered(seen, rows))
    },
    memory: (make) => {
      memory ??= keptMemory(make())
      return memory
    },
    dispose: () => {
      forget()
      length = 0
    },
  }
}

const grown = (before: Tensor | undefined, more: Tensor): Tensor => {
  const whole = keep(scope(() => (before ? concat([before, more], 1) : clone(more))))
  if (before) dispose(before)
  return whole
}

/** Without the last `gone` tokens. */
const shortened = (seen: Seen, gone: number): Seen => {
  const cut = (t: Tensor): Tensor => {
    const size = [...t.shape]
    size[1] = size[1]! - gone
    const kept = keep(scope(() => slice(t, [0, ...size.slice(1).map(() => 0)], size)))
    dispose(t)
    return kept
  }
  return { k: cut(seen.k), v: cut(seen.v), segments: cut(seen.segments) }
}

const gathered = (seen: Seen, rows: readonly number[]): Seen => {
  const take = (t: Tensor): Tensor => {
    const taken = keep(scope(() => gather(t, tensor(Int32Array.from(rows), [rows.length], 'int32'))))
    dispose(t)
    return taken
  }
  return { k: take(seen.k), v: take(seen.v), segments: take(seen.segments) }
}

const keptMemory = ({ hidden, segments }: Memory): Memory =>
  detached(() => ({ hidden: keep(clone(hidden)), segments: keep(clone(segments)) }))
