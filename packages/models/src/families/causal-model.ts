import type { Model, Output, Run, Site, Stage, Stream } from '@graftjs/core'
import { crossEntropy, type StoredWeight } from '@graftjs/kernels'
import { mul, reshape, type Tensor, tanh } from '@graftjs/tensor'
import { beginFrame, type Limits } from '../begin-frame.ts'
import { fromPlace, type Head } from '../heads/head.ts'
import type { HeadConfig } from '../heads/head-config.ts'
import { lastTokenHead } from '../heads/last-token-head.ts'
import { labelRows, nllFromLogits } from '../nll.ts'
import { replacedSource } from '../replaced-source.ts'
import { embed, linearSite, normed, type owning, placeAt, project } from '../sites.ts'
import type { WeightSource } from '../weight-source.ts'

/** What a decoder with a language head is made of. */
export interface CausalParts {
  /** `model_type`. */
  readonly type: string
  readonly targetModules: readonly string[]
  readonly limits: Limits
  /** The module around all but the head: `model` or `transformer`. */
  readonly path: string
  readonly words: Site<'embedding'>
  /**
   * What is done to the words before the first layer, virtual ones among them (learned positions, a factor), with the
   * sites that it has.
   */
  readonly entry?: { readonly sites: readonly Site[]; readonly apply: (hidden: Tensor, s: Stream, run: Run) => Tensor }
  readonly layers: readonly { readonly sites: readonly Site[]; readonly stage: Stage }[]
  readonly finalNorm: Site<'norm'>
  /** `lm_head.weight` is the matrix of the words. */
  readonly tied: boolean
  /** Another head than that of a language model: of the task `seq-cls`. */
  readonly head?: HeadConfig | undefined
  /** Logits l become cap · tanh(l / cap) (Gemma 2). */
  readonly logitCap?: number | undefined
  /** Where the parts came from, for the head's matrix; freed with the model. */
  readonly weights: ReturnType<typeof owning>
  /** The same model from other weights. */
  remake(source: WeightSource, tied: boolean): Model
  /** Frees what the parts hold beside weights. */
  dispose?(): void
}

/** Embedding, layers, final norm and head, put together: what Llama, GPT-2 and Gemma have in common. */
export const causalModel = (parts: CausalParts): Model => {
  const { path, words, weights, layers, finalNorm, tied, entry } = parts
  const d = words.outDim
  const head = parts.head?.task === 'seq-cls' ? scoreHead(parts.head, weights, d) : languageHead(parts)
  const embedSite: Site<'layer'> = { kind: 'layer', ...placeAt(`${path}.embed`, -1, { inDim: 1, outDim: d }) }
  const entrySite: Site<'layer'> = { kind: 'layer', ...placeAt(`${path}.entry`, -1, { inDim: d, outDim: d }) }
  const backbone: Site<'backbone'> = { kind: 'backbone', ...placeAt(path, -1, { inDim: d, outDim: d }) }
  const headSite: Site<'head'> = { kind: 'head', ...placeAt('head', -1, { inDim: d, outDim: head.outDim }) }
  const sites: Site[] = [
    words,
    embedSite,
    ...(entry?.sites ?? []),
    ...layers.flatMap((layer) => layer.sites),
    finalNorm,
    ...head.sites,
    backbone,
    headSite,
  ]
  const enter = (s: Stream, run: Run): Stream => ({ ...s, hidden: entry!.apply(s.hidden, s, run) })
  return {
    type: parts.type,
    sites,
    backbone,
    causal: true,
    ...(parts.head && { labelShift: 0 as const }),
    outputPath: head.outputPath!,
    targetModules: parts.targetModules,
    begin: (batch, call) => beginFrame(batch, parts.limits, call),
    embed: { site: embedSite, uses: [], apply: (s, run) => ({ ...s, hidden: embed(words, s.frame.ids, run) }) },
    stages: [
      // A stage of its own, so that it acts on virtual tokens too, as in PEFT. Its site is no place for patches.
      ...(entry ? [{ site: entrySite, uses: ['hidden'], apply: enter } satisfies Stage] : []),
      ...layers.map(({ stage }) => stage),
    ],
    head: { site: headSite, apply: (s, run) => head.apply(normed(finalNorm, s.hidden, run), s.frame, run) },
    withWeights: (replace) => {
      const next = replacedSource(sites, replace)
      // Tied matrices part where one of them is replaced; where both are, each has its own.
      return parts.remake(next, tied && !next.has(words) && !head.sites.some(next.has))
    },
    dispose: () => {
      weights.dispose()
      parts.dispose?.()
    },
  }
}

const scoreHead = ({ labels }: HeadConfig, weights: WeightSource, d: number): Head =>
  lastTokenHead(linearSite('score', -1, weights.matrix('score.weight', [labels.length, d])))

const languageHead = ({ words, tied, weights, logitCap: cap }: CausalParts): Head => {
  const [vocab, d] = [words.inDim, words.outDim]
  const matrix = tied ? (words.weight as StoredWeight) : weights.matrix('lm_head.weight', [vocab, d])
  const lmHead = linearSite('lm_head', -1, matrix)
  return {
    sites: [lmHead],
    outDim: vocab,
    outputPath: lmHead.path,
    apply: (hidden, _, run) => languageOutput(hidden, lmHead, cap, run),
  }
}

const languageOutput = (hidden: Tensor, lmHead: Site<'linear'>, cap: number | undefined, run: Run): Output => {
  const [batch, length, d] = hidden.shape as [number, number, number]
  const logits = (from = 0): Tensor => {
    const plain = project(lmHead, fromPlace(hidden, from), run)
    return cap ? mul(tanh(mul(plain, 1 / cap)), cap) : plain
  }
  return {
    hidden,
    logits,
    nll: (labels) => {
      const rows = labelRows(labels, batch, length, lmHead.outDim)
      if (cap || run.patched(lmHead)) return nllFromLogits(logits(), rows)
      return reshape(crossEntropy(reshape(hidden, [batch * length, d]), lmHead.weight as StoredWeight, rows), [
        batch,
        length,
      ])
    },
  }
}
