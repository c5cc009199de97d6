import { type Batch, canCache, forward, type Tuned } from '@graftjs/core'
import { createCache } from '@graftjs/models'
import type { Bed } from './bed.ts'
import { decode, nextOnly, whole } from './decode.ts'
import { largestDifference, read } from './measure.ts'
import { holds } from './promises.ts'
import { type Check, fail, refuserOf, requireAtMost, requireRefusal, withTuned } from './subject.ts'

/** With a cache, one token or several at a time, logits are those of the whole text; or the cache is refused by name. */
export const cached: Check = (subject) =>
  withTuned(subject, async (tuned) => {
    const { bed, promises } = subject
    const { continuation } = bed
    if (!holds(promises.caches, bed.name, true)) {
      const cache = createCache()
      const act = (): Promise<unknown> => read(() => forward(tuned, bed.text, { cache }).logits())
      await requireRefusal(subject, 'with a cache', act, 'no-cache', [refuserOf(tuned, 'cache')])
      cache.dispose()
      if (canCache(tuned)) fail(subject, 'canCache', 'true', 'false')
      const generated = await decode(subject, tuned, 4)
      if (generated.length !== 4) fail(subject, 'generating without a cache', `${generated.length} tokens`, '4')
      return undefined
    }
    const full = await read(() => forward(tuned, whole(bed, continuation)).logits(-continuation.length))
    const [first, ...rest] = continuation as [number, ...number[]]
    const single = await inPieces(bed, tuned, [[first], ...rest.map((id) => [id])])
    const several = await inPieces(bed, tuned, [[first], rest])
    const difference = Math.max(largestDifference(single, full), largestDifference(several, full))
    requireAtMost(subject, 'cached against whole', difference, 2e-5)
    return { cached: difference }
  })

/** Logits behind each token of the pieces, each piece one call on the cache that the text began. */
const inPieces = async (bed: Bed, tuned: Tuned, pieces: readonly (readonly number[])[]): Promise<number[]> => {
  const cache = createCache()
  const call = (batch: Batch): Promise<Float32Array> => read(() => forward(tuned, batch, { cache }).logits())
  const logits: number[] = []
  try {
    await call(bed.text)
    for (const piece of pieces) logits.push(...(await call(nextOnly(bed, ...piece))))
    return logits
  } finally {
    cache.dispose()
  }
}
