import { add, cast, concat, mul, range, reshape, slice, sub, type Tensor, tile } from '@graftjs/tensor'
import { product } from './gate.ts'
import { around } from './patch.ts'
import type { Frame, Gain, Model, PatchAt, Refusal, Run, Stream } from './types.ts'

export interface VirtualTokensOptions {
  /** What `make` cannot work with, such as `['cache', 'packing']` where it reads the whole row. */
  readonly refuses?: readonly Refusal[]
}

/**
 * A patch that puts `count` virtual tokens in front of every row (of the encoder's, where there are two): `make` gives
 * their embeddings [B or 1, count, d]. All tokens see them, positions count on behind them (as in PEFT), and the caller
 * gets its own length back. With a cache they are put in front once. It can be switched by row, not scaled.
 */
export const virtualTokens = (
  model: Model,
  count: number,
  make: (s: Stream, run: Run) => Tensor,
  { refuses = [] }: VirtualTokensOptions = {},
): PatchAt<'backbone'> => {
  const patch = (rows?: Gain): PatchAt<'backbone'> =>
    around(
      model.backbone,
      (s, next, run) => {
        const on = rows && reshape(cast(rows(s.hidden, run), 'int32'), [-1, 1]) // [B, 1]
        if (run.past > 0)
          return next(s.frame.decoder ? s : { ...s, frame: { ...s.frame, ...shifted(s.frame, count, on) } })
        const batch = s.hidden.shape[0]!
        const tokens = make(s, run)
        const all = tokens.shape[0] === batch ? tokens : tile(tokens, [batch, 1, 1])
        const out = next({ ...s, frame: inFront(s.frame, count, on), hidden: concat([all, s.hidden], 1) })
        // What comes back from a decoder has the decoder's tokens, and none of these.
        return s.frame.decoder ? out : { ...out, frame: s.frame, hidden: slice(out.hidden, [0, count, 0]) }
      },
      {
        onRows: (gain) => patch(product(rows, gain)),
        // In a causal model what stands in front of several documents sees none of them; elsewhere it would join them.
        refuses: model.causal ? refuses : [...refuses, 'packing'],
      },
    )
  return patch()
}

/** The frame with `count` tokens in front, unseen in the rows where `on` is 0. */
const inFront = (frame: Frame, count: number, on?: Tensor): Frame => {
  const [batch] = frame.ids.shape as [number, number]
  const places = tile(reshape(range(0, count), [1, count]), [batch, 1])
  const nothing = sub(places, places)
  const { positions, span } = shifted(frame, count, on)
  return {
    ...frame,
    ids: concat([nothing, frame.ids], 1),
    positions: concat([places, positions], 1),
    segments: concat([sub(nothing, on ? sub(2, on) : 1), frame.segments], 1), // -1, or -2 where off
    ...(frame.tokenTypes && { tokenTypes: concat([nothing, frame.tokenTypes], 1) }),
    span,
  }
}

const shifted = ({ positions, span }: Frame, count: number, on?: Tensor): Pick<Frame, 'positions' | 'span'> => ({
  positions: add(positions, on ? mul(on, count) : count),
  span: span + count,
})
