import { type Batch, canCache, forward, type Tuned } from '@graftjs/core'
import { createCache } from '@graftjs/models'
import type { Bed } from './bed.ts'
import { read } from './measure.ts'
import type { Subject } from './subject.ts'

/** Generates `count` tokens greedily from the bed's text, with a cache where the method allows one. */
export const decode = async ({ bed }: Subject, tuned: Tuned, count: number): Promise<number[]> => {
  const cache = canCache(tuned) ? createCache() : undefined
  const tokens: number[] = []
  try {
    let fresh: Batch = bed.text
    for (let n = 0; n < count; n++) {
      const logits = await read(() => forward(tuned, fresh, cache && { cache }).logits(-1))
      tokens.push(logits.indexOf(Math.max(...logits)))
      fresh = cache ? nextOnly(bed, tokens.at(-1)!) : whole(bed, tokens)
    }
    return tokens
  } finally {
    cache?.dispose()
  }
}

/** The text and what was generated so far. */
export const whole = (bed: Bed, tokens: readonly number[]): Batch =>
  bed.name !== 'encoder-decoder'
    ? { ...bed.text, ids: [[...bed.text.ids[0]!, ...tokens]] }
    : { ...bed.text, decoderIds: [[...bed.text.decoderIds![0]!, ...tokens]] }

/** What a call with a cache is given after the first. */
export const nextOnly = (bed: Bed, ...tokens: number[]): Batch =>
  bed.name !== 'encoder-decoder' ? { ...bed.text, ids: [tokens] } : { ...bed.text, decoderIds: [tokens] }
