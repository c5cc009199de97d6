// What the generic core costs: a training step of one Llama layer of SmolLM2-135M's size through sites, patches and stages,
// beside a hand-written loop over the same kernels (one-layer/hand-written.ts) that yields the same gradients.
// npm run bench -- one-layer [--threads N] [--rounds N] [--layers N] [--variant V,V] [--json FILE]
import { writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { parseArgs } from 'node:util'
import { all, attach, backward, forward, type Method, type Model, type StoredParam, type Tuned } from '@graftjs/core'
import { simdInfo, useSimd, type Variant } from '@graftjs/kernels'
import { lora } from '@graftjs/lora'
import { dispose, memory, mul, random, square, sum, type Tensor, tensor } from '@graftjs/tensor'
import { randomLlama, relativeError, smolLm2 } from '@graftjs/testing'
import { handWritten, type OnGrad } from './one-layer/hand-written.ts'
import { serialAdapter } from './one-layer/serial-adapter.ts'

const { values } = parseArgs({
  options: {
    threads: { type: 'string', default: '2' },
    rounds: { type: 'string', default: '15' },
    layers: { type: 'string', default: '1' },
    variant: { type: 'string', default: 'plain,auto' },
    json: { type: 'string' },
  },
})
const rounds = Number(values.rounds)
/** A small step is short and mostly JavaScript: it needs more of them for a steady median. */
const SMALL_ROUNDS = 8
const say = (text: string): void => void process.stdout.write(`${text}\n`)

type Keep = 'all' | 'none'
const methods: Record<string, { method: Method; target: number }> = {
  LoRA: { method: lora({ r: 8, loraAlpha: 16, targetModules: 'all-linear' }), target: 0.8 },
  'LoRA + adapter': {
    method: all(lora({ r: 8, loraAlpha: 16, targetModules: 'all-linear' }), serialAdapter(64)),
    target: 0.6,
  },
}
const shapes: readonly (readonly [number, number])[] = [
  [1, 64],
  [4, 256],
]
const config = { ...smolLm2, numHiddenLayers: Number(values.layers), vocabSize: 1024 }

/** The head is the hidden state itself: its norm and the product with the vocabulary are no part of a layer. */
const headless = (model: Model): Model => {
  const none = (): never => {
    throw new Error('this model has no head')
  }
  const apply: Model['head']['apply'] = ({ hidden }) => ({ hidden, logits: none, nll: none })
  return { ...model, head: { site: model.head.site, apply } }
}

/** Fresh adapters start at the base model, and zeros would hide errors: all parameters are drawn anew. */
const redraw = (tuned: Tuned): void => {
  for (const param of tuned.params.all.values()) {
    const numbers = random(1, param.path).fill(new Float32Array(param.value.size), 'normal')
    param.set(
      tensor(
        numbers.map((n) => n * 0.05),
        param.shape,
      ),
    )
  }
}

type Step = (onGrad: OnGrad) => Tensor

const contenders = (tuned: Tuned, ids: number[][], keep: Keep): { generic: Step; hand: Step } => {
  const hand = handWritten(config, tuned, 2)
  return {
    generic: (onGrad) =>
      backward(
        () => {
          const { hidden } = forward(tuned, { ids }, { training: true, keep })
          return mul(sum(square(hidden)), 1 / hidden.size)
        },
        (param, grad) => onGrad(param as StoredParam, grad),
      ),
    hand: (onGrad) => hand(ids, keep, onGrad),
  }
}

/** Loss and gradients of a step; it must leave nothing behind. */
const results = (step: Step): { loss: number; grads: Map<string, Float32Array> } => {
  const grads = new Map<string, Float32Array>()
  const before = memory()
  const loss = step((param, grad) => grads.set(param.path, grad.dataSync().slice() as Float32Array))
  const value = loss.dataSync()[0]!
  dispose(loss)
  if (memory().tensors !== before.tensors) throw new Error(`a step leaves ${memory().tensors - before.tensors} tensors`)
  return { loss: value, grads }
}

/** The largest relative difference of the loss or of one gradient. */
const difference = (a: ReturnType<typeof results>, b: ReturnType<typeof results>): number => {
  if ([...a.grads.keys()].sort().join() !== [...b.grads.keys()].sort().join())
    throw new Error('the two steps give gradients of different parameters')
  const errors = [...a.grads].map(([path, grad]) => relativeError(grad, b.grads.get(path)!))
  return Math.max(Math.abs(a.loss - b.loss) / Math.abs(b.loss), ...errors)
}

const time = (step: Step): number => {
  const from = performance.now()
  dispose(step(() => {}))
  return performance.now() - from
}

interface Spread {
  readonly median: number
  readonly min: number
  readonly max: number
}
const spreadOf = (times: readonly number[]): Spread => {
  const sorted = [...times].sort((a, b) => a - b)
  return { median: sorted[Math.floor(sorted.length / 2)]!, min: sorted[0]!, max: sorted.at(-1)! }
}

interface Row {
  readonly variant: string
  readonly method: string
  readonly batch: number
  readonly length: number
  readonly keep: Keep
  readonly generic: Spread
  readonly hand: Spread
  /** Median time by hand ÷ median time through core. */
  readonly ratio: number
  /** The median of by hand ÷ generic, round by round: what the target is for. Where other work doubles the times of some rounds, the two medians above may fall on either side of the jump. */
  readonly pairedRatio: number
  readonly target: number
  readonly difference: number
}

const measure = (name: string, [batch, length]: readonly [number, number], keep: Keep): Row => {
  const { method, target } = methods[name]!
  const tuned = attach(headless(randomLlama(config)), method)
  redraw(tuned)
  const ids = Array.from({ length: batch }, (_, b) =>
    Array.from({ length }, (_, t) => (b * 7919 + t * 104729 + 11) % config.vocabSize),
  )
  const { generic, hand } = contenders(tuned, ids, keep)
  // The first pass makes the model's rotary tables.
  time(generic)
  const apart = difference(results(generic), results(hand))
  if (!(apart <= 1e-5)) throw new Error(`${name}, keep ${keep}: the two steps differ by ${apart}`)
  // Small steps are mostly JavaScript, which is slow until V8 has seen it often.
  const small = batch * length < 512
  for (let i = 0; i < (small ? 40 : 4); i++) for (const step of [generic, hand]) time(step)
  const [ours, theirs]: [number[], number[]] = [[], []]
  for (let i = 0; i < (small ? SMALL_ROUNDS * rounds : rounds); i++) {
    // Who goes first alternates too.
    if (i % 2) theirs.push(time(hand))
    ours.push(time(generic))
    if (i % 2 === 0) theirs.push(time(hand))
  }
  tuned.dispose()
  tuned.model.dispose()
  return {
    variant: simdInfo()!.variant,
    method: name,
    batch,
    length,
    keep,
    generic: spreadOf(ours),
    hand: spreadOf(theirs),
    ratio: spreadOf(theirs).median / spreadOf(ours).median,
    pairedRatio: spreadOf(theirs.map((t, i) => t / ours[i]!)).median,
    target,
    difference: apart,
  }
}

const ms = ({ median, min, max }: Spread): string => `${median.toFixed(1)} (${min.toFixed(1)} … ${max.toFixed(1)})`
const line = (r: Row): string =>
  `| ${[
    r.variant,
    r.method,
    `${r.batch} × ${r.length}`,
    r.keep,
    ms(r.generic),
    ms(r.hand),
    r.ratio.toFixed(2),
    r.pairedRatio.toFixed(2),
    `${r.target.toFixed(1)}${r.pairedRatio >= r.target ? '' : ' MISSED'}`,
    r.difference.toExponential(0),
  ].join(' | ')} |`

const rows: Row[] = []
const threads = Number(values.threads)
const ran = new Set<string>()
say(
  '| kernels | method | B × T | keep | generic, ms | by hand, ms | ratio of medians | paired ratio | target | gradients differ by |',
)
say('| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |')
for (const wanted of values.variant.split(',')) {
  const { variant } = await useSimd({ threads, variant: wanted as Variant | 'auto' })
  if (ran.has(variant)) continue
  ran.add(variant)
  for (const shape of shapes)
    for (const name of Object.keys(methods))
      for (const keep of ['all', 'none'] as const) {
        const row = measure(name, shape, keep)
        rows.push(row)
        say(line(row))
      }
}
const machine = {
  node: process.version,
  cpu: `${cpus()[0]!.model} × ${cpus().length}`,
  threads,
  peakRssBytes: process.resourceUsage().maxRSS * 1024,
  simdPeakBytes: simdInfo()!.peakBytes,
}
const gib = (bytes: number): string => (bytes / 2 ** 30).toFixed(2)
say(
  `\n${config.numHiddenLayers} Llama layer${config.numHiddenLayers > 1 ? 's' : ''}: hidden ${config.hiddenSize}, ff ${config.intermediateSize}, ${config.numAttentionHeads} heads over ${config.numKeyValueHeads}; median (least … most) of ${rounds} rounds, ${SMALL_ROUNDS} × as many of the small step; ratio = by hand ÷ generic, so 1 is no overhead; the target is for the paired one`,
)
say(
  `${machine.cpu}, Node ${machine.node}, ${threads} threads, peak RSS ${gib(machine.peakRssBytes)} GiB (simd memory ${gib(machine.simdPeakBytes)})`,
)
if (values.json)
  writeFileSync(values.json, `${JSON.stringify({ format: 1, machine, config, rounds, rows }, null, 2)}\n`)
process.exit(0)
