import { asTuned, type Call, type Model, type Tuned } from '@graftjs/core'
import { dispose } from '@graftjs/tensor'
import { GraftError } from '@graftjs/tensor/error'
import { openReading, requirePrompts, requireText, textsBefore } from './reading.ts'
import { penalised } from './sample.ts'

export interface BeamSearchOptions {
  /** Texts that are followed at once. Default 4. */
  readonly numBeams?: number
  /** Texts that come back for each prompt, at most `numBeams`. Default 1. */
  readonly numReturnSequences?: number
  /** Default 64. */
  readonly maxNewTokens?: number
  /** Which adapter acts: a name, null for the bare base, or one of these for each prompt. The active one when absent. */
  readonly adapter?: Call['adapter']
  /** A finished text's log-probability is divided by its new tokens to this power: above 0 favours long ones. Default 1. */
  readonly lengthPenalty?: number
  /**
   * When a prompt is done: `true` once there are `numBeams` finished texts, `false` (the default) once those under way, at
   * their length now, cannot beat the worst of them, `'never'` once they could not at any length.
   */
  readonly earlyStopping?: boolean | 'never'
  /** A text ends with any of these (it is part of the result). */
  readonly stopIds?: readonly number[]
  /** As of `generate`. Default 1. */
  readonly repetitionPenalty?: number
  readonly signal?: AbortSignal
}

export interface Beam {
  /** The new tokens. */
  readonly ids: readonly number[]
  /** Log-probability of all of them, divided by their number to the power of `lengthPenalty`. */
  readonly score: number
}

/** A text under way. */
interface Running {
  readonly ids: readonly number[]
  readonly logProb: number
}

/** The search for one prompt. */
interface Search {
  running: readonly Running[]
  finished: readonly Beam[]
  done: boolean
}

/** The likeliest continuations of each prompt by beam search, best first; the rules are those of transformers 5. */
export const beamSearch = async (
  model: Tuned | Model,
  prompts: readonly (readonly number[])[],
  options: BeamSearchOptions = {},
): Promise<Beam[][]> => {
  const { numBeams = 4, numReturnSequences = 1, maxNewTokens = 64, signal } = options
  check(prompts, options)
  const tuned = asTuned(model)
  requireText(tuned.model)
  const before = textsBefore(tuned.model, prompts)
  const searches = prompts.map((): Search => ({ running: [{ ids: [], logProb: 0 }], finished: [], done: false }))
  const beams = prompts.flatMap((prompt) => Array.from({ length: numBeams }, () => prompt))
  const { adapter } = options
  const ofBeams = Array.isArray(adapter)
    ? adapter.flatMap((name) => Array.from({ length: numBeams }, () => name))
    : adapter
  const reading = openReading(tuned, beams, undefined, ofBeams)
  try {
    for (let n = 1; n <= maxNewTokens && searches.some(({ done }) => !done); n++) {
      if (n > 1) await new Promise((resolve) => setTimeout(resolve, 0))
      signal?.throwIfAborted()
      const logits = reading.logits()
      const values = (await logits.data()) as Float32Array
      const vocab = logits.shape[1]!
      dispose(logits)
      const rows = searches.map((search, p) => {
        const at = (beam: number): Float32Array =>
          values.subarray((p * numBeams + beam) * vocab, (p * numBeams + beam + 1) * vocab)
        return advance(search, before[p]!, at, n, options)
      })
      reading.go(
        rows.flatMap((next) => next.map(({ id }) => id)),
        rows.flatMap((next, p) => next.map(({ beam }) => p * numBeams + beam)),
      )
    }
    return searches.map(({ finished }) => finished.slice(0, numReturnSequences))
  } finally {
    reading.end()
  }
}

interface Candidate {
  readonly beam: number
  readonly id: number
  readonly logProb: number
}

/** Takes one search a token further; what each of its beams reads next, and which beam that goes on from. */
const advance = (
  search: Search,
  prompt: readonly number[],
  logitsOf: (beam: number) => Float32Array,
  n: number,
  {
    numBeams = 4,
    maxNewTokens = 64,
    lengthPenalty = 1,
    earlyStopping = false,
    stopIds = [],
    repetitionPenalty = 1,
  }: BeamSearchOptions,
): readonly Candidate[] => {
  // A row that is done reads on with the others, and nothing comes of it.
  const idle = Array.from({ length: numBeams }, (_, beam): Candidate => ({ beam, id: prompt[0]!, logProb: 0 }))
  if (search.done) return idle
  const width = Math.max(2, 1 + stopIds.length) * numBeams
  const best = bestOf(
    search.running.flatMap(({ ids, logProb }, beam) => {
      const logits = penalised(logSoftmax(logitsOf(beam)), new Set([...prompt, ...ids]), repetitionPenalty)
      return topOf(logits, width).map((id): Candidate => ({ beam, id, logProb: logProb + logits[id]! }))
    }),
    width,
    ({ logProb }) => logProb,
  )
  const ends = ({ id }: Candidate): boolean => n === maxNewTokens || stopIds.includes(id)
  const textOf = ({ beam, id }: Candidate): readonly number[] => [...search.running[beam]!.ids, id]
  // Only the best `numBeams` may finish: a text that ends there and is no better than those that go on is dropped.
  const ended = best.slice(0, numBeams).filter(ends)
  const full = earlyStopping === true && search.finished.length >= numBeams
  const score = (logProb: number, length: number): number => logProb / length ** lengthPenalty
  if (!full)
    search.finished = bestOf(
      [...search.finished, ...ended.map((c): Beam => ({ ids: textOf(c), score: score(c.logProb, n) }))],
      numBeams,
      (beam) => beam.score,
    )
  const going = best.filter((candidate) => !ends(candidate)).slice(0, numBeams)
  search.running = going.map((c): Running => ({ ids: textOf(c), logProb: c.logProb }))
  const hopeful = (): boolean => {
    if (search.finished.length < numBeams) return true
    if (earlyStopping === true) return false
    const length = earlyStopping === 'never' && lengthPenalty > 0 ? maxNewTokens : n
    return score(going[0]!.logProb, length) > search.finished.at(-1)!.score
  }
  search.done = going.length === 0 || !hopeful()
  return [...going, ...idle.slice(going.length)]
}

const logSoftmax = (logits: Float32Array): Float32Array => {
  const most = logits.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY)
  const total = Math.log(logits.reduce((sum, x) => sum + Math.exp(x - most), 0)) + most
  return logits.map((x) => x - total)
}

/** The ids of the `count` largest values, largest first; of equals the first. */
const topOf = (values: Float32Array, count: number): number[] => {
  const ids: number[] = []
  for (let id = 0; id < values.length; id++) {
    if (ids.length === count && values[id]! <= values[ids.at(-1)!]!) continue
    const at = ids.findIndex((kept) => values[kept]! < values[id]!)
    ids.splice(at < 0 ? ids.length : at, 0, id)
    if (ids.length > count) ids.pop()
  }
  return ids
}

/** The `count` best, best first; of equals the first. */
const bestOf = <T>(items: readonly T[], count: number, scoreOf: (item: T) => number): T[] =>
  items.toSorted((a, b) => scoreOf(b) - scoreOf(a)).slice(0, count)

const check = (
  prompts: readonly (readonly number[])[],
  {
    numBeams = 4,
    numReturnSequences = 1,
    maxNewTokens = 64,
    lengthPenalty = 1,
    earlyStopping = false,
  }: BeamSearchOptions,
): void => {
  const bad = (culprit: string, given: string, expected: string): GraftError =>
    new GraftError({ code: 'bad-option', culprit, given, expected })
  requirePrompts(prompts)
  for (const [name, value] of Object.entries({ numBeams, numReturnSequences, maxNewTokens }))
    if (!Number.isInteger(value) || value < 1) throw bad(name, String(value), 'a whole number ≥ 1')
  if (numReturnSequences > numBeams)
    throw bad('numReturnSequences', String(numReturnSequences), `at most numBeams, ${numBeams}`)
  if (!Number.isFinite(lengthPenalty)) throw bad('lengthPenalty', String(lengthPenalty), 'a number')
  if (![true, false, 'never'].includes(earlyStopping))
    throw bad('earlyStopping', String(earlyStopping), 'true, false or never')
}
