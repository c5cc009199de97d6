import { attach, backward, type Model, type Stage } from '@graftjs/core'
import { dispose, isTaping } from '@graftjs/tensor'
import type { Bed, LabelledBatch } from './bed.ts'
import { training } from './gradients.ts'
import { meanLoss } from './measure.ts'
import { peakBytes } from './peak-bytes.ts'
import { type Check, fail, moveAll, requireAtMost, type Subject } from './subject.ts'

/** How often the stages of the model ran: forward, and again with a tape to be walked back through. */
export interface Counts {
  forward: number
  again: number
}

/** The same model, its stages counted by path. */
export const counted = (model: Model, counts: Map<string, Counts>): Model => {
  const wrap = (stage: Stage): Stage => ({
    ...stage,
    apply: (s, run) => {
      const count = counts.get(stage.site.path) ?? { forward: 0, again: 0 }
      count[isTaping() ? 'again' : 'forward']++
      counts.set(stage.site.path, count)
      return stage.apply(s, run)
    },
  })
  return { ...model, embed: wrap(model.embed), stages: model.stages.map(wrap) }
}

/** No stage runs more than twice in a step, a side network walks back through none, and no packed weight is unpacked whole. */
export const counters: Check = async (subject) => {
  const { bed, promises, method } = subject
  const model = bed.open()
  const counts = new Map<string, Counts>()
  const dense = watchDense(model)
  const tuned = attach(counted(model, counts), method, { seed: 1 })
  moveAll(tuned)
  dense.calls = 0
  try {
    dispose(
      backward(
        () => meanLoss(tuned, bed.batch, training),
        () => {},
      ),
    )
    for (const [path, { forward, again }] of counts) {
      if (forward > 1 || again > 1) fail(subject, path, `${forward} runs forward and ${again} again`, 'one of each')
    }
    const again = [...counts.values()].reduce((total, count) => total + count.again, 0)
    if (promises.leavesBackbone) requireAtMost(subject, 'backbone stages walked back through', again, 0)
    requireAtMost(subject, 'weights made dense in a training step', dense.calls, 0)
    return { again }
  } finally {
    tuned.dispose()
    model.dispose()
  }
}

const watchDense = (model: Model): { calls: number } => {
  const watch = { calls: 0 }
  for (const weight of new Set(model.sites.flatMap((site) => ('weight' in site ? [site.weight] : [])))) {
    const { dense } = weight
    Object.assign(weight, { dense: () => (watch.calls++, dense()) })
  }
  return watch
}

/** A layer more costs a few activations more at the peak of a step, whatever stands inside it. */
export const memoryGrowth: Check = async (subject) => {
  const { bed, promises } = subject
  const batch = long(bed)
  const [few, many] = [await peakOf(subject, batch, FEW), await peakOf(subject, batch, MANY)]
  const each = (many - few) / (MANY - FEW) / activationBytes(bed, batch)
  requireAtMost(subject, 'activations that one more layer costs', each, promises.activationsPerLayer ?? 2)
  return { 'per layer': each }
}

const [FEW, MANY] = [2, 8]

const peakOf = async ({ bed, method }: Subject, batch: LabelledBatch, layers: number): Promise<number> => {
  const model = bed.open(layers)
  const tuned = attach(model, method, { seed: 1 })
  const step = (): void =>
    dispose(
      backward(
        () => meanLoss(tuned, batch),
        () => {},
      ),
    )
  try {
    step()
    return peakBytes(step)
  } finally {
    tuned.dispose()
    model.dispose()
  }
}

/** Rows long enough that activations outweigh parameters. */
const long = ({ name }: Bed): LabelledBatch => {
  const rows = [0, 1].map((b) => Array.from({ length: LENGTH }, (_, t) => 1 + ((t * 7 + b * 3) % 25)))
  return { ids: rows, labels: rows, tasks: [0, 1], ...(name === 'encoder-decoder' && { decoderIds: rows }) }
}

const LENGTH = 48

const activationBytes = (bed: Bed, { ids }: LabelledBatch): number => {
  const model = bed.open()
  const d = model.backbone.inDim
  model.dispose()
  return ids.length * ids[0]!.length * d * 4
}
