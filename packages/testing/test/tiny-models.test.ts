import {
  all,
  around,
  attach,
  type Batch,
  backward,
  type Call,
  forward,
  type Method,
  type Model,
  type Site,
  type Tuned,
  type Weighted,
} from '@graftjs/core'
import { useSimd } from '@graftjs/kernels'
import { createCache } from '@graftjs/models'
import { clone, dispose, memory, mul, scope, sum, type Tensor } from '@graftjs/tensor'
import * as tf from '@tensorflow/tfjs-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type EncoderDecoderConfig, tinyDecoder, tinyEncoderDecoder } from '../src/index.ts'
import { full, prefix, prompt } from '../src/methods/index.ts'
import { tinySizes } from '../src/models/encoder-decoder.ts'
import { type Checkpoint, referenceT5 } from './support/reference-t5.ts'

beforeAll(async () => {
  tf.env().set('IS_TEST', true)
  await useSimd({ threads: 2 })
})

const config = tinySizes
const source = [7, 3, 28, 11, 2, 19, 5, 8, 23, 1]
const target = [0, 14, 9, 26, 4, 17, 21, 6, 12, 10, 25]

/** Logits as one array for each row and place. */
const logitsOf = (model: Model | Tuned, batch: Batch, call: Call = {}): number[][][] =>
  scope(() => forward(model, batch, call).logits().arraySync() as number[][][])

const furthest = (a: number[][], b: number[][]): number => {
  expect(a.map((row) => row.length)).toEqual(b.map((row) => row.length))
  return Math.max(...a.flatMap((row, i) => row.map((v, j) => Math.abs(v - b[i]![j]!))))
}

const checkpointOf = (model: Model): Checkpoint => {
  const values = new Map<string, number[][]>()
  const rows = (t: Tensor): number[][] => (t.rank === 1 ? [t.arraySync() as number[]] : (t.arraySync() as number[][]))
  for (const site of model.sites)
    if ('weight' in site)
      scope(() => {
        values.set(site.weight.path, rows(site.weight.dense()))
        if (site.bias) values.set(`${site.path}.bias`, rows(site.bias))
      })
  return (name) => values.get(name)
}

/** Padding on the left where `left`; what stands there must not matter. */
const padded = (rows: number[][], left: boolean, length: number) => {
  const pad = (row: number[], value: number): number[] => {
    const more = Array<number>(length - row.length).fill(value)
    return left ? [...more, ...row] : [...row, ...more]
  }
  return {
    ids: rows.map((row) => pad(row, 13)),
    mask: rows.map((row) =>
      pad(
        row.map(() => 1),
        0,
      ),
    ),
  }
}

describe('the reference in float64', () => {
  it.each<[string, Partial<EncoderDecoderConfig>]>([
    ['default', {}],
    [
      'untied, a bias everywhere, one layer and three',
      { tieWordEmbeddings: false, bias: true, numLayers: 1, numDecoderLayers: 3 },
    ],
    [
      'no bias, other sizes',
      { bias: false, numHeads: 2, dKv: 7, dFf: 9, vocabSize: 31, relativeAttentionNumBuckets: 12 },
    ],
  ])('%s: logits agree, alone and padded in a batch', (_, options) => {
    const model = tinyEncoderDecoder(options)
    const c = { ...config, ...options }
    const [ids, decoderIds] = [
      [source, source.slice(2, 7)],
      [target, target.slice(0, 4)],
    ]
    const wanted = ids.map((row, b) => referenceT5(c, checkpointOf(model), row, decoderIds[b]!))
    for (const left of [true, false]) {
      const own = padded(ids, left, 12)
      const theirs = padded(decoderIds, left, 13)
      const logits = logitsOf(model, { ...own, decoderIds: theirs.ids, decoderMask: theirs.mask })
      wanted.forEach((rows, b) => {
        const seen = logits[b]!.filter((_, t) => theirs.mask[b]![t])
        expect(furthest(seen, rows)).toBeLessThan(1e-5)
      })
    }
    wanted.forEach((rows, b) => {
      const [alone] = logitsOf(model, { ids: [ids[b]!], decoderIds: [decoderIds[b]!] })
      expect(furthest(alone!, rows)).toBeLessThan(1e-5)
    })
    model.dispose()
  })
})

const named = (name: string, method: Method): Method => ({
  ...method,
  attach: (model, params) => method.attach(model, params.scope(`${name}.`)),
})
const promptAndPrefix = all(named('prompt', prompt()), named('prefix', prefix()))
const methods: [string, Method | undefined][] = [
  ['bare', undefined],
  ['prefix', prefix()],
  ['prompt and prefix', promptAndPrefix],
]
const tunedBy = (model: Model, method: Method | undefined): Model | Tuned =>
  method ? attach(model, method, { seed: 4 }) : model

describe.each(methods)('%s encoder-decoder', (name, method) => {
  let model: Model
  let tuned: Model | Tuned
  beforeAll(() => {
    model = tinyEncoderDecoder()
    tuned = tunedBy(model, method)
  })
  afterAll(() => {
    if (tuned !== model) tuned.dispose()
    model.dispose()
  })

  it('gives finite logits of the right shape, lazily from a place on, and the negative log-likelihood of the labels', () => {
    const labels = [
      [14, 9, -100],
      [4, 17, 21],
    ]
    const batch: Batch = { ids: [source, source], labels }
    scope(() => {
      const out = forward(tuned, batch)
      const logits = out.logits().arraySync() as number[][][]
      expect(out.hidden.shape).toEqual([2, 3, 12])
      expect(logits.flat(2).every(Number.isFinite)).toBe(true)
      expect(
        furthest(
          (out.logits(-1).arraySync() as number[][][]).flat(),
          logits.map((row) => row[2]!),
        ),
      ).toBeLessThan(1e-6)
      const nll = out.nll(labels).arraySync() as number[][]
      labels.forEach((row, b) =>
        row.forEach((label, t) => {
          const at = logits[b]![t]!
          const total = Math.log(at.reduce((s, l) => s + Math.exp(l), 0))
          expect(nll[b]![t]!).toBeCloseTo(label === -100 ? 0 : total - at[label]!, 5)
        }),
      )
    })
    // The labels shifted right are what the decoder reads.
    expect(logitsOf(tuned, batch)).toEqual(
      logitsOf(tuned, {
        ids: batch.ids,
        decoderIds: [
          [0, 14, 9],
          [0, 4, 17],
        ],
      }),
    )
  })

  it.each([1, 3])('with a cache, %i tokens at once: as without one', (step) => {
    const own = padded([source, source.slice(4)], true, 12)
    const theirs = padded([target, target.slice(0, 8)], true, target.length)
    const whole = logitsOf(tuned, { ...own, decoderIds: theirs.ids, decoderMask: theirs.mask })
    const before = memory()
    const cache = createCache()
    const pieces: number[][][][] = []
    for (let at = 0; at < target.length; at += step) {
      const part = (rows: number[][]): number[][] => rows.map((row) => row.slice(at, at + step))
      const batch = { ...own, decoderIds: part(theirs.ids), decoderMask: part(theirs.mask) }
      pieces.push(logitsOf(tuned, batch, { cache }))
      expect(cache.length).toBe(Math.min(at + step, target.length))
    }
    cache.dispose()
    expect(memory()).toEqual(before)
    for (const b of [0, 1]) {
      const seen = (rows: number[][]): number[][] => rows.filter((_, t) => theirs.mask[b]![t])
      expect(furthest(seen(pieces.flatMap((p) => p[b]!)), seen(whole[b]!))).toBeLessThan(1e-5)
    }
  })

  it('padding on either side, of either part, changes nothing', () => {
    const [alone] = logitsOf(tuned, { ids: [source], decoderIds: [target] })
    for (const left of [true, false]) {
      const own = padded([source], left, 15)
      const theirs = padded([target], left, 14)
      const [logits] = logitsOf(tuned, { ...own, decoderIds: theirs.ids, decoderMask: theirs.mask })
      expect(
        furthest(
          logits!.filter((_, t) => theirs.mask[0]![t]),
          alone!,
        ),
      ).toBeLessThan(1e-5)
    }
  })

  const packed = (first: number[]): Batch => ({
    ids: [[...first, ...source]],
    segments: [[...first.map(() => 0), ...source.map(() => 1)]],
    decoderIds: [[...target.slice(0, 5), ...target]],
    decoderSegments: [[...target.slice(0, 5).map(() => 0), ...target.map(() => 1)]],
  })

  if (!name.includes('prompt'))
    it('documents packed into one row: as alone, and blind to each other', () => {
      const first = source.slice(3, 9)
      const [together] = logitsOf(tuned, packed(first))
      const [one] = logitsOf(tuned, { ids: [first], decoderIds: [target.slice(0, 5)] })
      const [two] = logitsOf(tuned, { ids: [source], decoderIds: [target] })
      expect(furthest(together!.slice(0, 5), one!)).toBeLessThan(1e-5)
      expect(furthest(together!.slice(5), two!)).toBeLessThan(1e-5)
      const [other] = logitsOf(tuned, packed(first.map((id) => id + 1 - 2 * (id % 2))))
      expect(other!.slice(5)).toEqual(together!.slice(5))
      expect(other!.slice(0, 5)).not.toEqual(together!.slice(0, 5))
    })
})

type Grads = Map<string, Float32Array>

const lossOf = (tuned: Tuned, batch: Batch, call: Call = {}): Tensor =>
  mul(sum(forward(tuned, batch, call).nll(batch.labels!)), 1 / 7)

const ours = (tuned: Tuned, batch: Batch, call: Call): Grads => {
  const grads: Grads = new Map()
  const value = backward(
    () => lossOf(tuned, batch, call),
    (param, grad) => void grads.set(param.path, grad.dataSync().slice() as Float32Array),
  )
  grads.set('loss', value.dataSync().slice() as Float32Array)
  dispose(value)
  return grads
}

const stock = (tuned: Tuned, batch: Batch): Grads =>
  scope(() => {
    const params = [...tuned.params.all.values()]
    const { value, grads } = tf.engine().gradients(
      () => lossOf(tuned, batch) as tf.Tensor,
      params.map((p) => p.value),
    )
    const found: Grads = new Map(params.map((p, i) => [p.path, grads[i]!.dataSync() as Float32Array]))
    return found.set('loss', value.dataSync() as Float32Array)
  })

describe.each<[string, () => Model, Method]>([
  ['encoder-decoder, full', tinyEncoderDecoder, full()],
  [
    'encoder-decoder with biases, full, prompt and prefix',
    () => tinyEncoderDecoder({ bias: true }),
    all(full(), promptAndPrefix),
  ],
  ['untied encoder-decoder, full', () => tinyEncoderDecoder({ tieWordEmbeddings: false }), full()],
  ['decoder, full', tinyDecoder, full()],
])('gradients of the %s', (_, make, method) => {
  const labels = [
    [14, 9, 26, 4],
    [17, 21, -100, -100],
  ]
  const batch: Batch = {
    ids: [source.slice(0, 4), source.slice(4, 8)],
    mask: [
      [0, 1, 1, 1],
      [1, 1, 1, 1],
    ],
    labels,
  }

  it('are those of tfjs over one tape; keep none and all give the same bits; nothing stays', () => {
    const model = make()
    const tuned = attach(model, method, { seed: 2 })
    const none = ours(tuned, batch, { keep: 'none' })
    const before = memory()
    expect(ours(tuned, batch, { keep: 'all' })).toEqual(none)
    expect(memory()).toEqual(before)
    const theirs = stock(tuned, batch)
    expect([...none.keys()].sort()).toEqual([...theirs.keys()].sort())
    for (const [path, grad] of theirs) {
      const scale = Math.max(...grad.map(Math.abs))
      expect(scale, path).toBeGreaterThan(0)
      none.get(path)!.forEach((g, i) => expect(Math.abs(g - grad[i]!) / scale, path).toBeLessThan(1e-5))
    }
    tuned.dispose()
    model.dispose()
  })
})

describe.each<[string, (o?: { tieWordEmbeddings?: boolean }) => Model]>([
  ['encoder-decoder', (o) => tinyEncoderDecoder({ bias: true, ...o })],
  ['decoder', tinyDecoder],
])('%s with other weights', (_, make) => {
  const batch: Batch = { ids: [source], labels: [target.slice(0, source.length)] }

  it('the same bits from the same weights; it frees its own tensors and no others', () => {
    const before = memory()
    const model = make()
    const wanted = logitsOf(model, batch)
    const bare = memory()
    for (const path of [/wi$|gate_proj$|norm$/, /^shared$|embed_tokens$/, /lm_head/, /./]) {
      const copy = model.withWeights((site) =>
        path.test(site.path)
          ? { weight: site.weight.dense(), ...(site.bias && { bias: clone(site.bias) }) }
          : undefined,
      )
      expect(logitsOf(copy, batch)).toEqual(wanted)
      copy.dispose()
      expect(memory()).toEqual(bare)
      expect(logitsOf(model, batch)).toEqual(wanted)
    }
    const lent = model.withWeights((site) => site.bias && { weight: site.weight.dense(), bias: site.bias })
    lent.dispose()
    expect(logitsOf(model, batch)).toEqual(wanted)
    model.dispose()
    expect(memory()).toEqual(before)
  })

  it('tied matrices part, each under its own name', () => {
    const model = make()
    const paths = (m: Model): string[] => weighted(m).map(({ weight }) => weight.path)
    expect(new Set(paths(model)).size).toBe(paths(model).length - 1)
    const parted = model.withWeights((site) => (site.path === 'lm_head' ? { weight: site.weight.dense() } : undefined))
    expect(new Set(paths(parted)).size).toBe(paths(parted).length)
    expect(weighted(parted).find(({ path }) => path === 'lm_head')!.weight.path).toBe('lm_head.weight')
    parted.dispose()
    model.dispose()
  })
})

const weighted = (model: Model): Site<Weighted>[] =>
  model.sites.filter((site): site is Site<Weighted> => 'weight' in site)

describe('sites', () => {
  it.each([tinyEncoderDecoder, tinyDecoder])(
    'of %o have paths of their own, and sizes that are the weights',
    (make) => {
      const model = make()
      const paths = model.sites.map(({ path }) => path)
      expect(new Set(paths).size).toBe(paths.length)
      for (const { kind, weight, inDim, outDim, path } of weighted(model)) {
        const shape = { linear: [outDim, inDim], embedding: [inDim, outDim], norm: [outDim] }[kind]
        expect(weight.shape, path).toEqual(shape)
      }
      model.dispose()
    },
  )
})

it('a stage of the encoder-decoder sees the frame of its own tokens, and the task of the rows', () => {
  const model = tinyEncoderDecoder()
  const seen: [string, number[], number[]][] = []
  const watch: Method = {
    name: 'watch',
    config: {},
    attach: ({ sites }) =>
      sites
        .filter((site) => ['shared', 'DenseReluDense'].includes(site.role))
        .map((site) =>
          around(site as Site<'sublayer'>, (x, next, run) => {
            seen.push([site.path, x.shape.slice(0, 2), run.frame.ids.shape])
            expect(run.frame.task!.arraySync()).toEqual([2, 0])
            return next(x)
          }),
        ),
  }
  const tuned = attach(model, watch)
  logitsOf(tuned, { ids: [source, source], decoderIds: [target, target], tasks: [2, 0] })
  expect(seen.map(([path]) => path)).toEqual([
    'shared',
    ...[0, 1].map((i) => `encoder.block.${i}.layer.1.DenseReluDense`),
    'shared',
    ...[0, 1].map((i) => `decoder.block.${i}.layer.2.DenseReluDense`),
  ])
  for (const [path, tokens, frame] of seen) expect(tokens, path).toEqual(frame)
  tuned.dispose()
  model.dispose()
})

describe('bad rows', () => {
  const good: Batch = { ids: [source, source], decoderIds: [target, target] }
  it.each<[string, Batch]>([
    ['decoderIds', { ids: [source] }],
    ['decoderIds', { ...good, decoderIds: [target] }],
    ['decoderIds', { ...good, decoderIds: [target, []] }],
    [
      'decoderIds[1][2]',
      {
        ...good,
        decoderIds: [
          [1, 2, 3],
          [1, 2, 29],
        ],
      },
    ],
    ['labels (shifted right)', { ids: [source], labels: [[1], [2]] }],
    ['ids', { ...good, ids: [source, [1]] }],
    [
      'ids[0][1]',
      {
        ...good,
        ids: [
          [1, -1],
          [1, 1],
        ],
      },
    ],
    ['mask', { ...good, mask: [[1]] }],
    ['decoderMask', { ...good, decoderMask: [[1], [1]] }],
    ['segments[1][9]', { ...good, segments: [source, [...source.slice(1), -3]] }],
    ['decoderSegments', { ...good, segments: [source, source] }],
    ['decoderSegments', { ...good, decoderSegments: [[0]] }],
    ['tasks', { ...good, tasks: [1] }],
  ])('%s', (culprit, batch) => {
    const model = tinyEncoderDecoder()
    expect(() => scope(() => forward(model, batch))).toThrowError(expect.objectContaining({ culprit }))
    model.dispose()
  })
})
