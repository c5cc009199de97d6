import { GraftError } from '@graftjs/tensor/error'

const ALIGN = 64
const PAGE = 65536
const LIMIT = 65536 * PAGE

/** Blocks of one WebAssembly memory. What is freed is merged with its neighbours and used again. */
export interface Allocator {
  /** The address of `bytes` bytes, aligned to 64; the block is a little longer, so that kernels may read past its end. */
  allocate(bytes: number): number
  free(address: number): void
  readonly used: number
  readonly peak: number
}

interface Block {
  readonly at: number
  readonly size: number
}

/** `start`: the first address that is ours; `grow(pages)`: makes the memory that much larger, or throws. */
export const createAllocator = (
  start: number,
  initialEnd: number,
  grow: (pages: number) => void,
  limit = LIMIT,
): Allocator => {
  const held = new Map<number, number>()
  // Free blocks by address (to merge) and by size class (to find one fast).
  const freeAt = new Map<number, number>()
  const freeEnd = new Map<number, number>()
  const classes: Set<number>[] = Array.from({ length: 33 }, () => new Set())
  let [end, top, used, peak] = [initialEnd, start, 0, 0]

  const put = (at: number, size: number): void => {
    freeAt.set(at, size)
    freeEnd.set(at + size, at)
    classes[classOf(size)]!.add(at)
  }
  const take = (at: number): number => {
    const size = freeAt.get(at)!
    freeAt.delete(at)
    freeEnd.delete(at + size)
    classes[classOf(size)]!.delete(at)
    return size
  }
  /** The smallest free block that fits, of its class; else any of the next class. */
  const find = (size: number): Block | undefined => {
    for (let c = classOf(size); c < classes.length; c++) {
      let best: Block | undefined
      for (const at of classes[c]!) {
        const here = freeAt.get(at)!
        if (here >= size && (!best || here < best.size)) best = { at, size: here }
        if (best && (best.size === size || c > classOf(size))) break
      }
      if (best) return best
    }
    return undefined
  }
  const extend = (size: number): number => {
    const at = top
    if (at + size > limit)
      throw new GraftError({
        code: 'out-of-memory',
        culprit: 'simd memory',
        given: `${mib(size)} more on top of ${mib(used)} held`,
        expected: `at most ${mib(limit)} in all: a smaller batch, a shorter length or keep: 'none' would do`,
      })
    if (at + size > end) {
      const pages = Math.ceil(Math.max(at + size - end, Math.min(64 * 2 ** 20, limit - end)) / PAGE)
      grow(pages)
      end += pages * PAGE
    }
    top += size
    return at
  }

  return {
    allocate: (bytes) => {
      const size = Math.ceil((bytes + ALIGN) / ALIGN) * ALIGN
      const found = find(size)
      const at = found ? found.at : extend(size)
      if (found) {
        take(at)
        if (found.size > size) put(at + size, found.size - size)
      }
      held.set(at, size)
      used += size
      peak = Math.max(peak, used)
      return at
    },
    free: (address) => {
      let size = held.get(address)
      if (size === undefined)
        throw new GraftError({
          code: 'bad-free',
          culprit: 'simd memory',
          given: `address ${address}`,
          expected: 'one that is held',
        })
      held.delete(address)
      used -= size
      let at = address
      const before = freeEnd.get(at)
      if (before !== undefined) {
        size += take(before)
        at = before
      }
      if (freeAt.has(at + size)) size += take(at + size)
      if (at + size === top) top = at
      else put(at, size)
    },
    get used() {
      return used
    },
    get peak() {
      return peak
    },
  }
}

const classOf = (size: number): number => Math.floor(Math.log2(size))
const mib = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(0)} MiB`
