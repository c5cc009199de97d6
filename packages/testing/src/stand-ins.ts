import type { Method } from '@graftjs/core'
import type { Promises } from './conformance/promises.ts'
import {
  full,
  fusion,
  hybrid,
  hypernetwork,
  ia3,
  ladder,
  lora,
  prefix,
  prompt,
  promptMixture,
  pTuning,
  serialAdapter,
  sideNetwork,
  sparseRouter,
  tokenRouting,
  vera,
} from './methods/index.ts'

/** One method for every way to act, with what each promises: what a method author reads first. */
export const standIns: readonly (readonly [Method, Promises])[] = [
  [lora({ targets: 'all-linear' }), { identityAtStart: true, folds: true }],
  [ia3(), { identityAtStart: true, folds: true, foldsToLora: true, learningRate: 0.2 }],
  [full(), { identityAtStart: true, folds: true, foldsToLora: false, gains: 'generic' }],
  [vera({ targets: 'all-linear' }), { identityAtStart: true, folds: true, learningRate: 0.1 }],
  [prefix(), { gains: 'row' }],
  [prompt(), { gains: 'switch', packs: ['decoder'], learningRate: 0.1 }],
  [pTuning(), { gains: 'switch', packs: ['decoder'], learningRate: 0.05 }],
  [serialAdapter(), { identityAtStart: true }],
  [fusion({ a: serialAdapter(), b: serialAdapter({ bottleneck: 2 }) }), { identityAtStart: true }],
  [ladder(), { identityAtStart: true, gains: 'none', leavesBackbone: true }],
  [sideNetwork(), { identityAtStart: true, gains: 'none', leavesBackbone: true }],
  [hypernetwork(), { identityAtStart: true }],
  [sparseRouter(), { identityAtStart: true, gains: 'generic' }],
  [tokenRouting(), { caches: false, packs: false, gains: 'generic', learningRate: 0.1, lossDrop: 0.02 }],
  [promptMixture(), { gains: 'switch', caches: ['encoder-decoder'], packs: false }],
  [hybrid(), { caches: false, packs: false, gains: 'row' }],
]
