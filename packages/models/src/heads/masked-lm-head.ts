import type { Site } from '@graftjs/core'
import type { Tensor } from '@graftjs/tensor'
import { normed, project } from '../sites.ts'
import { type Head, labelledOutput } from './head.ts'

export interface MaskedLmSites {
  readonly dense: Site<'linear'>
  readonly norm: Site<'norm'>
  /** The matrix of tokens, as a rule the embedding's, with a bias of its own. */
  readonly decoder: Site<'linear'>
}

/** BERT's: decoder(norm(activation(dense h))). Logits [B, T, V], labels [B, T] at the places of the masks. */
export const maskedLmHead = ({ dense, norm, decoder }: MaskedLmSites, activation: (x: Tensor) => Tensor): Head => ({
  sites: [dense, norm, decoder],
  outDim: decoder.outDim,
  outputPath: decoder.path,
  apply: (hidden, _, run) =>
    labelledOutput(hidden, () => project(decoder, normed(norm, activation(project(dense, hidden, run)), run), run)),
})
