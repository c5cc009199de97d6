import { type Batch, canCache, forward, type Tuned } from '@graftjs/core'
import { reshape, scope, type Tensor } from '@graftjs/tensor'
import { createCache } from './cache.ts'
import { padRows } from './pad.ts'
import type { OpenTextCache } from './text-cache.ts'

/** A text for each row that a model reads, token after token. */
export interface Reading {
  /** Of the token after what was read, [rows, V]. */
  logits(): Tensor
  /** Goes on with one more token a row; with `from`, each row goes on from what that row has read. */
  go(next: readonly number[], from?: readonly number[]): void
  end(): void
}

export const openReading = (
  tuned: Tuned,
  prompts: readonly (readonly number[])[],
  text: OpenTextCache | undefined,
): Reading => {
  // A method that reads the whole sequence cannot be told of it piece by piece: then every step runs the whole text.
  const cache = canCache(tuned) ? (text?.cache ?? createCache()) : undefined
  const seen = (cache && text?.begin(prompts[0]!)) ?? 0
  let step = leftPadded(
    prompts.map((row) => row.slice(seen)),
    seen,
  )
  return {
    logits: () => {
      try {
        const logits = scope(() => {
          const last = forward(tuned, step, cache && { cache }).logits(-1)
          return reshape(last, [prompts.length, last.shape[2]!])
        })
        if (cache) text?.read(step.ids[0]!)
        return logits
      } catch (error) {
        // Some layers may have read the step and others not.
        text?.dispose()
        throw error
      }
    },
    go: (next, from) => {
      if (from) {
        step = rowsOf(step, from)
        cache?.reorder(from)
      }
      const more = nextTokens(step, next)
      step = cache ? more : joined(step, more)
    },
    end: () => {
      if (!text) cache?.dispose()
    },
  }
}

type Step = Required<Pick<Batch, 'ids' | 'positions' | 'segments'>>

/** `seen`: the tokens that stand before them in a cache. */
const leftPadded = (prompts: readonly (readonly number[])[], seen: number): Step => {
  const { ids, mask } = padRows(prompts, 0, 'left')
  return {
    ids,
    positions: mask.map((row) => row.map(countFrom(seen))),
    segments: mask.map((row) => row.map((m) => (m ? 0 : -2))),
  }
}

/** One token a row, after what `step` ends with. */
const nextTokens = ({ positions }: Step, next: readonly number[]): Step => ({
  ids: next.map((id) => [id]),
  positions: positions.map((row) => [row.at(-1)! + 1]),
  segments: next.map(() => [0]),
})

const rowsOf = ({ ids, positions, segments }: Step, rows: readonly number[]): Step => ({
  ids: rows.map((row) => ids[row]!),
  positions: rows.map((row) => positions[row]!),
  segments: rows.map((row) => segments[row]!),
})

const joined = (a: Step, b: Step): Step => {
  const rows = (key: keyof Step): number[][] => a[key].map((row, i) => [...row, ...b[key][i]!])
  return { ids: rows('ids'), positions: rows('positions'), segments: rows('segments') }
}

const countFrom = (first: number): ((m: number) => number) => {
  let next = first
  return (m) => (m ? next++ : 0)
}
