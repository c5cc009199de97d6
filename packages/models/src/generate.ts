import { asTuned, type Call, type Model, type Tuned } from '@graftjs/core'
import { dispose, random, type Tensor } from '@graftjs/tensor'
import { GraftError } from '@graftjs/tensor/error'
import { openReading, requirePrompts, requireText, textsBefore } from './reading.ts'
import { checkSampling, type SampleOptions, sample } from './sample.ts'
import type { OpenTextCache, TextCache } from './text-cache.ts'

export interface GenerateOptions extends SampleOptions {
  /** Default 64. */
  readonly maxNewTokens?: number
  /** Which adapter acts: a name, null for the bare base, or one of these for each prompt. The active one when absent. */
  readonly adapter?: Call['adapter']
  /** Of the draws. Default 0. */
  readonly seed?: number
  /** A row ends with any of these (it is part of the result). */
  readonly stopIds?: readonly number[]
  /** Called for each new token as it comes. */
  readonly onToken?: (row: number, id: number) => void
  /** Of `textCache()`, for one prompt: what earlier calls have read of it is not read again. */
  readonly cache?: TextCache
  /** Ends a row, told its new tokens so far, such as `stopAtText` of `@graftjs/text`. */
  readonly stopWhen?: (made: readonly number[]) => boolean
  /** Ends it between two tokens; the promise is then rejected with the signal's reason. */
  readonly signal?: AbortSignal
}

/**
 * Continues each prompt (rows of token ids) and returns the new tokens. Prompts of different lengths are padded on the left. An
 * encoder-decoder reads the prompt by its encoder, once, and the new tokens are what its decoder writes.
 */
export const generate = async (
  model: Tuned | Model,
  prompts: readonly (readonly number[])[],
  options: GenerateOptions = {},
): Promise<number[][]> => {
  const { maxNewTokens = 64, seed = 0, stopIds = [], stopWhen, onToken, signal } = options
  check(prompts, options)
  const tuned = asTuned(model)
  requireText(tuned.model)
  requireGrowing(tuned.model, options.cache)
  const before = textsBefore(tuned.model, prompts)
  const draws = prompts.map((_, row) => random(seed, `generate/${row}`))
  const made: number[][] = prompts.map(() => [])
  const ended = prompts.map(() => false)
  const reading = openReading(tuned, prompts, options.cache as OpenTextCache | undefined, options.adapter)
  try {
    for (let n = 0; n < maxNewTokens && !ended.every(Boolean); n++) {
      if (signal) await heard(signal)
      const next = await pick(reading.logits(), (logits, row) =>
        sample(logits, options, draws[row]!, [...before[row]!, ...made[row]!]),
      )
      next.forEach((id, row) => {
        if (ended[row]) return
        made[row]!.push(id)
        onToken?.(row, id)
        ended[row] = stopIds.includes(id) || stopWhen?.(made[row]!) === true
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
  requirePrompts(prompts)
  if (cache && prompts.length > 1)
    throw new GraftError({
      code: 'bad-option',
      culprit: 'cache',
      given: `${prompts.length} prompts`,
      expected: 'one: the cache is of one text',
    })
  checkSampling(sampling)
}

/** A cache is of a prompt that grows. */
const requireGrowing = ({ type, startId }: Model, cache: TextCache | undefined): void => {
  if (startId !== undefined && cache)
    throw new GraftError({
      code: 'bad-option',
      culprit: 'cache',
      given: `a model of an encoder and a decoder (${type})`,
      expected: 'none: its prompt does not grow',
    })
}

/** One id a row; frees the logits [B, V]. */
const pick = async (logits: Tensor, choose: (logits: Float32Array, row: number) => number): Promise<number[]> => {
  const [rows, vocab] = logits.shape as [number, number]
  const values = (await logits.data()) as Float32Array
  dispose(logits)
  return Array.from({ length: rows }, (_, row) => choose(values.subarray(row * vocab, (row + 1) * vocab), row))
}
