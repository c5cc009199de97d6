import { asTuned, type Batch, canCache, forward, type Model, type Tuned } from '@graftjs/core'
import { dispose, type Random, random, reshape, scope, type Tensor } from '@graftjs/tensor'
import { GraftError } from '@graftjs/tensor/error'
import { createCache } from './cache.ts'
import { padRows } from './pad.ts'

export interface GenerateOptions {
  /** Default 64. */
  readonly maxNewTokens?: number
  /** 0 (the default) takes the likeliest token; above it, tokens are drawn from softmax(logits / temperature). */
  readonly temperature?: number
  /** Of the draws. Default 0. */
  readonly seed?: number
  /** A row ends with any of these (it is part of the result). */
  readonly stopIds?: readonly number[]
  /** Called for each new token as it comes. */
  readonly onToken?: (row: number, id: number) => void
  readonly signal?: AbortSignal
}

/** Continues each prompt (rows of token ids) and returns the new tokens. Prompts of different lengths are padded on the left. */
export const generate = async (
  model: Tuned | Model,
  prompts: readonly (readonly number[])[],
  { maxNewTokens = 64, temperature = 0, seed = 0, stopIds = [], onToken, signal }: GenerateOptions = {},
): Promise<number[][]> => {
  if (prompts.length === 0 || prompts.some((row) => row.length === 0))
    throw new GraftError({
      code: 'bad-batch',
      culprit: 'prompts',
      given: 'a prompt without tokens',
      expected: 'at least one token a row',
    })
  if (!(temperature >= 0))
    throw new GraftError({
      code: 'bad-option',
      culprit: 'temperature',
      given: String(temperature),
      expected: 'a number ≥ 0',
    })
  const tuned = asTuned(model)
  const draws = prompts.map((_, row) => random(seed, `generate/${row}`))
  const made: number[][] = prompts.map(() => [])
  const ended = prompts.map(() => false)
  // A method that reads the whole sequence cannot be told of it piece by piece: then every step runs the whole text.
  const cache = canCache(tuned) ? createCache() : undefined
  let step = leftPadded(prompts)
  try {
    for (let n = 0; n < maxNewTokens && !ended.every(Boolean); n++) {
      signal?.throwIfAborted()
      const logits = scope(() => {
        const last = forward(tuned, step, cache && { cache }).logits(-1)
        return reshape(last, [prompts.length, last.shape[2]!])
      })
      const next = await pick(logits, temperature, draws)
      next.forEach((id, row) => {
        if (ended[row]) return
        made[row]!.push(id)
        onToken?.(row, id)
        ended[row] = stopIds.includes(id)
      })
      const more = nextTokens(step, next)
      step = cache ? more : joined(step, more)
    }
    return made
  } finally {
    cache?.dispose()
  }
}

type Step = Required<Pick<Batch, 'ids' | 'positions' | 'segments'>>

const leftPadded = (prompts: readonly (readonly number[])[]): Step => {
  const { ids, mask } = padRows(prompts, 0, 'left')
  return {
    ids,
    positions: mask.map((row) => row.map(countUp())),
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

const countUp = (): ((m: number) => number) => {
  let next = 0
  return (m) => (m ? next++ : 0)
}

/** One id a row; frees the logits [B, V]. */
const pick = async (logits: Tensor, temperature: number, draws: readonly Random[]): Promise<number[]> => {
  const values = (await logits.data()) as Float32Array
  const vocab = logits.shape[1]!
  dispose(logits)
  return draws.map((draw, row) => choose(values.subarray(row * vocab, (row + 1) * vocab), temperature, draw))
}

const choose = (logits: Float32Array, temperature: number, draw: Random): number => {
  let best = 0
  for (let i = 1; i < logits.length; i++) if (logits[i]! > logits[best]!) best = i
  if (temperature === 0) return best
  const weights = Float64Array.from(logits, (l) => Math.exp((l - logits[best]!) / temperature))
  let left = draw.uniform() * weights.reduce((a, b) => a + b, 0)
  for (const [id, weight] of weights.entries()) {
    left -= weight
    if (left < 0) return id
  }
  return best
}
