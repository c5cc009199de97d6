import type { Batch, Call, Frame } from '@graftjs/core'
import { GraftError } from '@graftjs/tensor/error'
import { beginTokens, type Limits, type Rows, taskOf } from './begin-frame.ts'

export interface EncoderDecoderLimits extends Limits {
  /** What the decoder reads before the first label; default 0, T5's. */
  readonly decoderStartTokenId?: number
  /** What it reads where a label is -100; default 0, T5's. */
  readonly padTokenId?: number
}

/** The encoder's tokens, with the decoder's beside them. A cache counts the decoder's: the encoder runs once. */
export const beginEncoderDecoder = (batch: Batch, limits: EncoderDecoderLimits, call: Call = {}): Frame => {
  const encoder = beginTokens(batch, limits)
  const rows = encoder.ids.shape[0]!
  const name = batch.decoderIds ? 'decoderIds' : 'labels (shifted right)'
  const ids = batch.decoderIds ?? shiftedRight(batch, limits)
  if (ids.length !== rows) throw otherRows(name, ids.length, rows)
  if (!batch.decoderSegments && batch.segments?.some((row) => row.some((s) => s > 0))) throw noDecoderSegments()
  const decoder = beginTokens({ ids, mask: batch.decoderMask, segments: batch.decoderSegments }, limits, {
    past: call.cache?.length ?? 0,
    nameOf: (part) => (part === 'ids' ? name : `decoder${part[0]!.toUpperCase()}${part.slice(1)}`),
  })
  call.cache?.advance(decoder.ids.shape[1]!)
  return { ...encoder, decoder, ...taskOf(batch, rows) }
}

/** The labels one place to the right, behind the start token; each document of a packed row begins with one of its own. */
const shiftedRight = (
  { labels, decoderSegments }: Batch,
  { decoderStartTokenId = 0, padTokenId = 0 }: EncoderDecoderLimits,
): Rows => {
  if (!labels) throw nothingToRead()
  return labels.map((row, b) =>
    row.map((_, t) => {
      const begins = t === 0 || decoderSegments?.[b]?.[t] !== decoderSegments?.[b]?.[t - 1]
      const before = begins ? decoderStartTokenId : row[t - 1]!
      return before === -100 ? padTokenId : before
    }),
  )
}

const nothingToRead = (): GraftError =>
  new GraftError({
    code: 'bad-batch',
    culprit: 'decoderIds',
    given: 'none, and no labels',
    expected: 'decoderIds for the decoder to read, or labels, which are shifted right',
  })

const otherRows = (culprit: string, given: number, rows: number): GraftError =>
  new GraftError({ code: 'bad-batch', culprit, given: `${given} rows`, expected: `${rows} rows, as the ids` })

const noDecoderSegments = (): GraftError =>
  new GraftError({
    code: 'bad-batch',
    culprit: 'decoderSegments',
    given: 'none, beside segments of several documents',
    expected: "a segment for each decoder token: the document's whose memory it reads",
  })
