import { asTuned, type Batch, canCache, forward, type Model, type Tuned } from '@graftjs/core'
import { dispose, random, reshape, scope, type Tensor } from '@graftjs/tensor'
import { GraftError } from '@graftjs/tensor/error'
import { createCache } from './cache.ts'
import { padRows } from './pad.ts'
import { checkSampling, type SampleOptions, sample } from './sample.ts'
import type { OpenTextCache, TextCache } from './text-cache.ts'

export interface GenerateOptions extends SampleOptions {
  /** Default 64. */
  readonly maxNewTokens?: number
  /** Of the draws. Default 0. */
  readonly seed?: number
  /** A row ends with any of these (it is part of the result). */
  readonly stopIds?: readonly number[]
  /** Called for each new token as it comes. */
  readonly onToken?: (row: number, id: number) => void
  /** Of `textCache()`, for one prompt: what earlier calls have read of it is not read again. */
  readonly cache?: TextCache
  /** Ends it between two tokens; the promise is then rejected with the signal's reason. */
  readonly signal?: AbortSignal
}

/** Continues each prompt (rows of token ids) and returns the new tokens. Prompts of different lengths are padded on the left. */
export const generate = async (
  model: Tuned | Model,
  prompts: readonly (readonly number[])[],
  options: GenerateOptions = {},
): Promise<number[][]> => {
  const { maxNewTokens = 64, seed = 0, stopIds = [], onToken, signal } = options
  check(prompts, options)
  const tuned = asTuned(model)
  const draws = prompts.map((_, row) => random(seed, `generate/${row}`))
  const made: number[][] = prompts.map(() => [])
  const ended = prompts.map(() => false)
  const reading = openReading(tuned, prompts, options.cache as OpenTextCache | undefined)
  try {
    for (let n = 0; n < maxNewTokens && !ended.every(Boolean); n++) {
      if (signal) await heard(signal)
      const next = await pick(reading.logits(), (logits, row) =>
        sample(logits, options, draws[row]!, [...prompts[row]!, ...made[row]!]),
      )
      next.forEach((id, row) => {
        if (ended[row]) return
        made[row]!.push(id)
        onToken?.(row, id)
        ended[row] = stopIds.includes(id)
      })
      reading.go(next)
    }
    return made
  } finally {
    reading.end()
  }
}

/** Lets what may abort it come to pass: the tokens alone leave no gap for a key or a click. */
const heard = async (signal: AbortSignal): Promise<void> => {
  await new Promise((resolve) => setTimeout(resolve, 0))
  signal.throwIfAborted()
}

const check = (prompts: readonly (readonly number[])[], { cache, ...sampling }: GenerateOptions): void => {
  if (prompts.length === 0 || prompts.some((row) => row.length === 0))
    throw new GraftError({
      code: 'bad-batch',
      culprit: 'prompts',
      given: 'a prompt without tokens',
      expected: 'at least one token a row',
    })
  if (cache && prompts.length > 1)
    throw new GraftError({
      code: 'bad-option',
      culprit: 'cache',
      given: `${prompts.length} prompts`,
      expected: 'one: the cache is of one text',
    })
  checkSampling(sampling)
}

interface Reading {
  /** Of the token after what was read, [rows, V]. */
  logits(): Tensor
  /** Goes on with one more token a row. */
  go(next: readonly number[]): void
  end(): void
}

const openReading = (
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
    go: (next) => {
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

const joined = (a: Step, b: Step): Step => {
  const rows = (key: keyof Step): number[][] => a[key].map((row, i) => [...row, ...b[key][i]!])
  return { ids: rows('ids'), positions: rows('positions'), segments: rows('segments') }
}

const countFrom = (first: number): ((m: number) => number) => {
  let next = first
  return (m) => (m ? next++ : 0)
}

/** One id a row; frees the logits [B, V]. */
const pick = async (logits: Tensor, choose: (logits: Float32Array, row: number) => number): Promise<number[]> => {
  const [rows, vocab] = logits.shape as [number, number]
  const values = (await logits.data()) as Float32Array
  dispose(logits)
  return Array.from({ length: rows }, (_, row) => choose(values.subarray(row * vocab, (row + 1) * vocab), row))
}
