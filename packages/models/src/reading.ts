import { type Batch, type Call, canCache, forward, type Model, type Tuned } from '@graftjs/core'
import { reshape, scope, type Tensor } from '@graftjs/tensor'
import { GraftError } from '@graftjs/tensor/error'
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
  adapter: Call['adapter'] = tuned.active,
): Reading => {
  let acting = adapter
  // A method that reads the whole sequence cannot be told of it piece by piece: then every step runs the whole text.
  const cache = canCache(tuned, { adapter }) ? (text?.cache ?? createCache()) : undefined
  const seen = (cache && text?.begin(prompts[0]!, readerOf(tuned, adapter))) ?? 0
  const rest = prompts.map((row) => row.slice(seen))
  let step = tuned.model.startId === undefined ? leftPadded(rest, seen) : started(tuned.model.startId, rest)
  return {
    logits: () => {
      try {
        const logits = scope(() => {
          const last = forward(tuned, step, { adapter: acting, ...(cache && { cache }) }).logits(-1)
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
        if (Array.isArray(acting)) acting = from.map((row) => (acting as readonly (string | null)[])[row]!)
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

/** Who reads: keys and values that one adapter made are nothing to another. */
const readerOf = (tuned: Tuned, adapter: Call['adapter']): string =>
  JSON.stringify([adapter ?? null].flat().map((name) => (name === null ? null : tuned.adapter(name).id)))

/** Refuses a model that writes no text: one with another head, or none. */
export const requireText = ({ type, labelShift = 1, startId }: Model): void => {
  if (startId !== undefined || labelShift === 1) return
  throw new GraftError({
    code: 'no-text',
    culprit: 'model',
    given: `a ${type} that tells labels`,
    expected: 'one for causal-lm or seq2seq, which writes text',
  })
}

/** What the new tokens come behind: the prompts, or of an encoder-decoder, which reads them beside, its start token. */
export const textsBefore = (
  { startId }: Model,
  prompts: readonly (readonly number[])[],
): readonly (readonly number[])[] => (startId === undefined ? prompts : prompts.map(() => [startId]))

type DecoderStep = Required<Pick<Batch, 'ids' | 'positions' | 'segments'>>
type EncoderDecoderStep = Required<Pick<Batch, 'ids' | 'mask' | 'decoderIds'>>
type Step = DecoderStep | EncoderDecoderStep

/** `seen`: the tokens that stand before them in a cache. */
const leftPadded = (prompts: readonly (readonly number[])[], seen: number): DecoderStep => {
  const { ids, mask } = padRows(prompts, 0, 'left')
  return {
    ids,
    positions: mask.map((row) => row.map(countFrom(seen))),
    segments: mask.map((row) => row.map((m) => (m ? 0 : -2))),
  }
}

/** The encoder's whole rows, and a decoder that has read its first token. */
const started = (startId: number, prompts: readonly (readonly number[])[]): EncoderDecoderStep => ({
  ...padRows(prompts, 0, 'right'),
  decoderIds: prompts.map(() => [startId]),
})

/** One token a row, after what `step` ends with. */
const nextTokens = (step: Step, next: readonly number[]): Step => {
  const ids = next.map((id) => [id])
  if ('decoderIds' in step) return { ...step, decoderIds: ids }
  return { ids, positions: step.positions.map((row) => [row.at(-1)! + 1]), segments: next.map(() => [0]) }
}

const rowsOf = <S extends Step>(step: S, rows: readonly number[]): S =>
  Object.fromEntries(
    Object.entries<Rows>({ ...step }).map(([part, of]) => [part, rows.map((row) => of[row]!)]),
  ) as unknown as S

const joined = (a: Step, b: Step): Step => {
  const rows = <K extends string>(key: K, x: Record<K, Rows>, y: Record<K, Rows>): number[][] =>
    x[key].map((row, i) => [...row, ...y[key][i]!])
  if ('decoderIds' in a) return { ...a, decoderIds: rows('decoderIds', a, b as EncoderDecoderStep) }
  const more = b as DecoderStep
  return { ids: rows('ids', a, more), positions: rows('positions', a, more), segments: rows('segments', a, more) }
}
type Rows = readonly (readonly number[])[]

const countFrom = (first: number): ((m: number) => number) => {
  let next = first
  return (m) => (m ? next++ : 0)
}

export const requirePrompts = (prompts: readonly (readonly number[])[]): void => {
  if (prompts.length > 0 && prompts.every((row) => row.length > 0)) return
  throw new GraftError({
    code: 'bad-batch',
    culprit: 'prompts',
    given: 'a prompt without tokens',
    expected: 'at least one token a row',
  })
}
