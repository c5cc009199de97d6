import type { Site } from '@graftjs/core'
import { project } from '../sites.ts'
import { type Head, labelledOutput } from './head.ts'
import { rowState } from './row-state.ts'

/** A class for each row, from the state of its last token that is not padding. Logits [B, 1, C], labels [B, 1]. */
export const lastTokenHead = (out: Site<'linear'>): Head => ({
  sites: [out],
  outDim: out.outDim,
  outputPath: out.path,
  apply: (hidden, frame, run) => labelledOutput(hidden, () => project(out, rowState(hidden, frame, 'last'), run)),
})
