import {
  add,
  concat,
  defineOp,
  div,
  equal,
  exp,
  fill,
  greaterEqual,
  less,
  lessEqual,
  log,
  logicalAnd,
  logicalOr,
  matMul,
  max,
  mul,
  notEqual,
  ones,
  range,
  reshape,
  square,
  sub,
  sum,
  type Tensor,
  tanh,
  transpose,
  where,
  zeros,
  zerosLike,
} from '@graftjs/tensor'
import { GraftError } from '@graftjs/tensor/error'

/** A key is visible only if its position is less than `size` before the query's; the first `open` keys are visible anyway. */
export interface AttentionWindow {
  readonly size: number
  /** int32 [B, T]. */
  readonly queryPositions: Tensor
  /** int32 [B, S - open]. */
  readonly keyPositions: Tensor
}

export interface AttentionOptions {
  /** Factor on the scores, 1/√D as a rule. */
  readonly scale: number
  /** Key j is visible to query i only if j < open or j - open ≤ i + (S - open - T). */
  readonly causal: boolean
  /** So many first keys are visible to all queries. */
  readonly open: number
  /** Mistral's sliding window, of a causal query. Default: none. */
  readonly window?: AttentionWindow | undefined
  /** Scores s become cap · tanh(s / cap) (Gemma 2). Default: none. */
  readonly cap?: number | undefined
  /** int32 [B, T]. A key is visible within its segment; -1 sees and is seen by every segment, a key of -2 by none. */
  readonly querySegments: Tensor
  /** int32 [B, S]. */
  readonly keySegments: Tensor
}

/** `window` and `cap` are 0 where there is none. */
type Attrs = { scale: number; causal: boolean; open: number; window: number; cap: number }
type Inputs = {
  q: Tensor
  k: Tensor
  v: Tensor
  querySegments: Tensor
  keySegments: Tensor
  queryPositions?: Tensor | undefined
  keyPositions?: Tensor | undefined
}

/** out [B, T, H, D], and the log-sum-exp of each query's scores [B, H, T], which the gradient reads. */
const run = defineOp<Inputs, Attrs>({
  name: 'GraftAttention',
  composed: (inputs, attrs) => {
    const { probabilities, lse } = attend(inputs, attrs)
    return [fromHeads(matMul(probabilities, keyHeads(inputs.v, inputs.q.shape[2]!))), lse]
  },
  save: {
    inputs: ['q', 'k', 'v', 'querySegments', 'keySegments', 'queryPositions', 'keyPositions'],
    outputs: [0, 1],
  },
  gradient: ([dout], { q, k, v, querySegments, keySegments, queryPositions, keyPositions, out0, out1 }, attrs) => {
    const given = {
      q: q!,
      k: k!,
      v: v!,
      querySegments: querySegments!,
      keySegments: keySegments!,
      queryPositions,
      keyPositions,
      out: out0!,
      lse: out1!,
      dout: dout!,
    }
    const [dq, dk, dv] = runBack(given, attrs)
    return { q: () => dq!, k: () => dk!, v: () => dv! }
  },
  reference: (inputs, attrs) => referenceAttention(inputs as Record<keyof Inputs, RefArray>, attrs),
})

const runBack = defineOp<Inputs & { out: Tensor; lse: Tensor; dout: Tensor }, Attrs>({
  name: 'GraftAttentionBack',
  composed: ({ out, dout, ...inputs }, attrs) => {
    const heads = inputs.q.shape[2]!
    const { probabilities, slope } = attend(inputs, attrs)
    const d = toHeads(dout)
    const dp = matMul(d, keyHeads(inputs.v, heads), false, true)
    const delta = sum(mul(d, toHeads(out)), 3, true)
    const ofCapped = mul(mul(probabilities, sub(dp, delta)), attrs.scale)
    const ds = slope ? mul(ofCapped, slope) : ofCapped // [B, H, T, S]
    const group = (t: Tensor): Tensor => sumGroups(t, inputs.k.shape[2]!)
    return [
      fromHeads(matMul(ds, keyHeads(inputs.k, heads))),
      group(matMul(ds, toHeads(inputs.q), true)),
      group(matMul(probabilities, d, true)),
    ]
  },
})

const toHeads = (x: Tensor): Tensor => transpose(x, [0, 2, 1, 3]) // [B, H, T, D]
const fromHeads = (x: Tensor): Tensor => transpose(x, [0, 2, 1, 3])

/** [B, S, Hkv, D] -> [B, H, S, D], each key head repeated for its group of query heads. */
const keyHeads = (x: Tensor, heads: number): Tensor => {
  const [batch, length, own, dim] = x.shape as [number, number, number, number]
  const group = heads / own
  const spread = mul(reshape(toHeads(x), [batch, own, 1, length * dim]), ones([1, 1, group, 1]))
  return reshape(spread, [batch, heads, length, dim])
}

/** [B, H, S, D] -> [B, S, Hkv, D], summed over each group of query heads. */
const sumGroups = (x: Tensor, own: number): Tensor => {
  const [batch, heads, length, dim] = x.shape as [number, number, number, number]
  return fromHeads(reshape(sum(reshape(x, [batch, own, heads / own, length * dim]), 2), [batch, own, length, dim]))
}

const attend = (
  { q, k, querySegments, keySegments, queryPositions, keyPositions }: Inputs,
  { scale, causal, open, window, cap }: Attrs,
): { probabilities: Tensor; lse: Tensor; slope: Tensor | undefined } => {
  const [batch, length, heads] = q.shape as [number, number, number, number]
  const keys = k.shape[1]!
  const plain = mul(matMul(toHeads(q), keyHeads(k, heads), false, true), scale) // [B, H, T, S]
  const bent = cap ? tanh(div(plain, cap)) : undefined
  const scores = bent ? mul(bent, cap) : plain
  const qs = reshape(querySegments, [batch, 1, length, 1])
  const ks = reshape(keySegments, [batch, 1, 1, keys])
  const inSegment = logicalAnd(notEqual(ks, -2), logicalOr(equal(ks, qs), logicalOr(equal(ks, -1), equal(qs, -1))))
  const j = reshape(range(0, keys), [1, 1, 1, keys])
  const limit = reshape(range(keys - length, keys), [1, 1, length, 1])
  const before = lessEqual(j, limit)
  const near = window ? logicalAnd(before, inWindow(queryPositions!, keyPositions!, open, window)) : before
  const inTime = causal ? logicalOr(less(j, open), near) : greaterEqual(j, 0)
  const seen = logicalAnd(inSegment, inTime)
  const masked = where(logicalAnd(seen, greaterEqual(zerosLike(scores), 0)), scores, fill(scores.shape, -1e30))
  const most = max(masked, 3, true)
  const weights = where(greaterEqual(masked, -1e29), exp(sub(masked, most)), zeros(scores.shape))
  const total = sum(weights, 3, true)
  const any = greaterEqual(total, 1e-30)
  const safe = where(any, total, ones(total.shape))
  const lse = reshape(where(any, add(most, log(safe)), fill(total.shape, 1e30)), [batch, heads, length])
  return { probabilities: div(weights, safe), lse, slope: bent && sub(1, square(bent)) }
}

/** [B, 1, T, S]; of the open keys, which stand in front, it says nothing. */
const inWindow = (queries: Tensor, keys: Tensor, open: number, window: number): Tensor => {
  const [batch, length] = queries.shape as [number, number]
  const all = open ? concat([zeros([batch, open], 'int32'), keys], 1) : keys
  const distance = sub(reshape(queries, [batch, 1, length, 1]), reshape(all, [batch, 1, 1, all.shape[1]!]))
  return less(distance, window)
}

interface RefArray {
  readonly data: Float64Array
  readonly shape: readonly number[]
}

const referenceAttention = (
  { q, k, v, querySegments, keySegments, queryPositions, keyPositions }: Record<keyof Inputs, RefArray>,
  { scale, causal, open, window, cap }: Attrs,
): RefArray[] => {
  const [B, T, H, D] = q.shape as [number, number, number, number]
  const [S, Hkv] = k.shape.slice(1) as [number, number]
  const out = new Float64Array(q.data.length)
  const lse = new Float64Array(B * H * T)
  for (let b = 0; b < B; b++)
    for (let h = 0; h < H; h++)
      for (let t = 0; t < T; t++) {
        const kv = Math.floor(h / (H / Hkv))
        const at = ((b * T + t) * H + h) * D
        const qs = querySegments.data[b * T + t]!
        const seen = Array.from({ length: S }, (_, j) => j).filter((j) => {
          const ks = keySegments.data[b * S + j]!
          const distance = (): number => queryPositions.data[b * T + t]! - keyPositions.data[b * (S - open) + j - open]!
          const inTime = !causal || j < open || (j <= t + S - T && (!window || distance() < window))
          return ks !== -2 && (ks === -1 || ks === qs || qs === -1) && inTime
        })
        const score = seen
          .map(
            (j) =>
              scale *
              q.data.subarray(at, at + D).reduce((s, x, i) => s + x * k.data[((b * S + j) * Hkv + kv) * D + i]!, 0),
          )
          .map((s) => (cap ? cap * Math.tanh(s / cap) : s))
        const most = Math.max(...score)
        const total = score.reduce((s, x) => s + Math.exp(x - most), 0)
        lse[(b * H + h) * T + t] = seen.length ? most + Math.log(total) : Number.POSITIVE_INFINITY
        seen.forEach((j, n) => {
          const p = Math.exp(score[n]! - most) / total
          for (let i = 0; i < D; i++) out[at + i]! += p * v.data[((b * S + j) * Hkv + kv) * D + i]!
        })
      }
  return [
    { data: out, shape: q.shape },
    { data: lse, shape: [B, H, T] },
  ]
}

/** Softmax(scale · q kᵀ) v with grouped heads. q [B, T, H, D], k and v [B, S, Hkv, D] -> [B, T, H, D]. A query that sees no key gives 0. */
export const attention = (
  q: Tensor,
  k: Tensor,
  v: Tensor,
  { scale, causal, open, window, cap = 0, querySegments, keySegments }: AttentionOptions,
): Tensor => {
  const [heads, own] = [q.shape[2]!, k.shape[2]!]
  if (heads % own !== 0)
    throw new GraftError({
      code: 'bad-shape',
      culprit: 'attention',
      given: `${heads} query heads on ${own} key heads`,
      expected: 'a multiple',
    })
  if (k.shape[1]! !== keySegments.shape[1]!)
    throw new GraftError({
      code: 'bad-shape',
      culprit: 'attention.keySegments',
      given: `[${keySegments.shape}]`,
      expected: `[${k.shape[0]}, ${k.shape[1]}]`,
    })
  if (window && window.keyPositions.shape[1]! !== k.shape[1]! - open)
    throw new GraftError({
      code: 'bad-shape',
      culprit: 'attention.window.keyPositions',
      given: `[${window.keyPositions.shape}]`,
      expected: `[${k.shape[0]}, ${k.shape[1]! - open}]`,
    })
  const { size = 0, queryPositions, keyPositions } = window ?? {}
  return run(
    { q, k, v, querySegments, keySegments, queryPositions, keyPositions },
    { scale, causal, open, window: size, cap },
  )[0]!
}
