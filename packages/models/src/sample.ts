import type { Random } from '@graftjs/tensor'
import { GraftError } from '@graftjs/tensor/error'

/** How the next token is taken from the logits. */
export interface SampleOptions {
  /** 0 (the default) takes the likeliest token; above it, tokens are drawn from softmax(logits / temperature). */
  readonly temperature?: number
  /** Draws among the k likeliest tokens alone. Default: all. */
  readonly topK?: number
  /** Draws among the fewest likeliest tokens whose probabilities come to p, of (0, 1] (Holtzman et al. 2020). Default 1. */
  readonly topP?: number
  /**
   * The logits of tokens that are in the text already are divided by it where above 0, else multiplied (Keskar et al.
   * 2019). Default 1: none are.
   */
  readonly repetitionPenalty?: number
}

/** Refuses options that make no sense, by name. */
export const checkSampling = ({ temperature = 0, topK, topP = 1, repetitionPenalty = 1 }: SampleOptions): void => {
  const refuse = (culprit: string, given: unknown, expected: string): never => {
    throw new GraftError({ code: 'bad-option', culprit, given: String(given), expected })
  }
  if (!(temperature >= 0)) refuse('temperature', temperature, 'a number ≥ 0')
  if (topK !== undefined && !(Number.isInteger(topK) && topK >= 1)) refuse('topK', topK, 'a whole number ≥ 1')
  if (!(topP > 0 && topP <= 1)) refuse('topP', topP, 'a number above 0, at most 1')
  if (!(repetitionPenalty > 0 && Number.isFinite(repetitionPenalty)))
    refuse('repetitionPenalty', repetitionPenalty, 'a number above 0')
}

/**
 * One id of a row of logits [V]. In the order of transformers: the penalty, the temperature, top k, top p. `text` are the
 * ids that the penalty holds for.
 */
export const sample = (
  logits: Float32Array,
  { temperature = 0, topK, topP = 1, repetitionPenalty = 1 }: SampleOptions,
  draw: Random,
  text: readonly number[] = [],
): number => {
  const scores = repetitionPenalty === 1 ? logits : penalised(logits, new Set(text), repetitionPenalty)
  const best = likeliest(scores)
  if (temperature === 0) return best
  const weights = Float64Array.from(scores, (l) => Math.exp((l - scores[best]!) / temperature))
  if (topK !== undefined || topP < 1) keepLikeliest(weights, topK ?? weights.length, topP)
  let left = draw.uniform() * weights.reduce((a, b) => a + b, 0)
  for (const [id, weight] of weights.entries()) {
    left -= weight
    if (left < 0) return id
  }
  return best
}

const likeliest = (scores: Float32Array): number => {
  let best = 0
  for (let i = 1; i < scores.length; i++) if (scores[i]! > scores[best]!) best = i
  return best
}

/** The logits with the penalty on those of `ids`. */
export const penalised = (logits: Float32Array, ids: ReadonlySet<number>, penalty: number): Float32Array => {
  const scores = Float32Array.from(logits)
  for (const id of ids) scores[id] = scores[id]! > 0 ? scores[id]! / penalty : scores[id]! * penalty
  return scores
}

/** Sets the weights of all but the likeliest to 0. The likeliest stays whatever p is. */
const keepLikeliest = (weights: Float64Array, topK: number, topP: number): void => {
  const order = Array.from(weights.keys()).sort((a, b) => weights[b]! - weights[a]! || a - b)
  const within = order.slice(0, topK)
  const enough = topP * within.reduce((sum, id) => sum + weights[id]!, 0)
  let [sum, kept] = [0, 0]
  while (kept < within.length && (kept === 0 || sum < enough)) sum += weights[within[kept++]!]!
  for (const id of order.slice(kept)) weights[id] = 0
}
