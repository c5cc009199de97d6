import type { Frame, Site } from '@graftjs/core'
import { cast, equal, matMul, max, mul, notEqual, range, reshape, type Tensor } from '@graftjs/tensor'
import { project } from '../sites.ts'
import { type Head, labelledOutput } from './head.ts'

/** A class for each row, from the state of its last token that is not padding. Logits [B, 1, C], labels [B, 1]. */
export const lastTokenHead = (out: Site<'linear'>): Head => ({
  sites: [out],
  outDim: out.outDim,
  outputPath: out.path,
  apply: (hidden, frame, run) => labelledOutput(hidden, () => project(out, last(hidden, frame), run)),
})

/** [B, 1, d]. */
const last = (hidden: Tensor, { segments }: Frame): Tensor => {
  const [batch, length] = segments.shape as [number, number]
  const places = mul(reshape(range(1, length + 1), [1, length]), cast(notEqual(segments, -2), 'int32'))
  const isLast = cast(equal(places, max(places, 1, true)), 'float32')
  return matMul(reshape(isLast, [batch, 1, length]), hidden)
}
