import type { Tuned, Value } from '@graftjs/core'
import { random } from '@graftjs/tensor'
import { GraftError } from '@graftjs/tensor/error'
import { electedMean, largest, type MajoritySign, type Mask, masked, weightedSum } from './combine.ts'
import { type Factors, factorsOf, type SiteFactors } from './factors.ts'
import { lora } from './lora.ts'
import { nearestFactors } from './nearest-factors.ts'
import { loraConfig } from './options.ts'

const types = [
  'linear',
  'cat',
  'svd',
  'ties',
  'ties_svd',
  'dare_linear',
  'dare_linear_svd',
  'dare_ties',
  'dare_ties_svd',
  'magnitude_prune',
  'magnitude_prune_svd',
] as const
/** PEFT's names. */
export type CombinationType = (typeof types)[number]

/** What a mask is asked for: an adapter's whole change at a module, or one factor of it (PEFT's arithmetic). */
export interface MaskPlace {
  readonly path: string
  readonly adapter: string
  readonly factor: 'delta' | 'A' | 'B'
  readonly size: number
}

export interface WeightedAdapterOptions {
  /** Of the new adapter. */
  readonly name: string
  /** Default `'svd'`, as in PEFT. */
  readonly combinationType?: CombinationType
  /** The rank of what is written as a product by singular value decomposition; the largest of the adapters' when absent. */
  readonly svdRank?: number
  /** Clamps both factors at this quantile of their entries, both signs counted. */
  readonly svdClamp?: number
  /** The share of entries that ties, dare and magnitude_prune keep, in (0, 1]. Theirs to need. */
  readonly density?: number
  /** Of ties. Default `'total'`. */
  readonly majoritySignMethod?: MajoritySign
  /**
   * `'exact'`: everything is done to changes of weights, ΔW = s B A. `'peft'`: as PEFT 0.21 does it: linear, ties, dare and
   * magnitude_prune without _svd combine A with A and B with B, which adds cross terms, and a first adapter with rsLoRA makes
   * the result √r too large. Default `'exact'`.
   */
  readonly arithmetic?: 'exact' | 'peft'
  /** Of DARE's random masks. Default 0. */
  readonly seed?: number
  /** DARE's masks instead of drawn ones. */
  readonly mask?: (at: MaskPlace) => Mask
}

export interface WeightedAdapter {
  readonly r: number
  /** What a product of this rank lost of the combination: √(Σ ‖ΔW − BA‖² / Σ ‖ΔW‖²). */
  readonly relativeError: number
}

/**
 * PEFT's `add_weighted_adapter`: a new LoRA beside the others, made of some of them; it does not act yet. At a module that
 * only some of the adapters have, those alone count. Errors: `bad-option`, `adapter-exists`, `unknown-adapter`,
 * `not-combinable` for an adapter that is more than products of A and B (biases, whole modules, tokens).
 */
export const addWeightedAdapter = async (
  tuned: Tuned,
  adapters: readonly string[],
  weights: readonly number[],
  options: WeightedAdapterOptions,
): Promise<WeightedAdapter> => {
  check(tuned, adapters, weights, options)
  const sites = await factorsOf(tuned, adapters)
  const rank = options.svdRank ?? Math.max(...sites.flatMap((s) => s.factors.map((f) => f.a.shape[0]!)))
  const made = new Map<string, Made>()
  for (const site of sites) {
    const own = site.factors.map(({ index }) => weights[index]!)
    made.set(site.path, await combined(site, own, rank, adapters.length === 1 ? single(options) : options))
  }
  const r = Math.max(...[...made.values()].map(({ a }) => a.shape[0]!))
  const values = new Map(sites.flatMap((site) => named(site, made.get(site.path)!, r)))
  const first = loraConfig(tuned.adapter(adapters[0]!).method.config)
  const method = lora({
    r,
    loraAlpha: r,
    targetModules: sites.map(({ path }) => path).sort(),
    loraDropout: first.loraDropout,
    fanInFanOut: first.fanInFanOut,
    taskType: first.taskType,
    useRslora: options.arithmetic === 'peft' && first.useRslora,
  })
  tuned.addAdapter(options.name, method, { values })
  const sum = (key: 'missing' | 'total'): number => [...made.values()].reduce((s, m) => s + m[key], 0)
  return { r, relativeError: sum('total') === 0 ? 0 : Math.sqrt(sum('missing') / sum('total')) }
}

interface Made {
  readonly a: Value
  readonly b: Value
  /** Squared norms of what the rank lost and of the whole. */
  readonly missing: number
  readonly total: number
}

/** PEFT combines one adapter by linear, whatever is asked for. */
const single = (options: WeightedAdapterOptions): WeightedAdapterOptions =>
  options.arithmetic === 'peft' ? { ...options, combinationType: 'linear' } : options

const combined = (
  site: SiteFactors,
  weights: readonly number[],
  rank: number,
  options: WeightedAdapterOptions,
): Made | Promise<Made> => {
  const { combinationType: type = 'svd', arithmetic = 'exact', svdRank, svdClamp } = options
  const isPeft = arithmetic === 'peft'
  if (type === 'cat' || (type === 'linear' && !isPeft && svdRank === undefined)) return sideBySide(site, weights)
  if (isPeft && !type.endsWith('svd')) return factorwise(site, weights, options)
  const tasks = site.factors.map((f) => f.delta())
  const delta = mixed(tasks, weights, site, 'delta', options)
  return nearestFactors(delta, [site.outDim, site.inDim], rank, { path: site.path, clamp: svdClamp })
}

/** [A₁; A₂] scaled and [B₁ B₂]: Σ w s B A itself, at the sum of the ranks. */
const sideBySide = ({ factors, inDim, outDim }: SiteFactors, weights: readonly number[]): Made => {
  const r = factors.reduce((sum, f) => sum + f.a.shape[0]!, 0)
  const a = new Float32Array(r * inDim)
  const b = new Float32Array(outDim * r)
  let at = 0
  factors.forEach((f, k) => {
    const rank = f.a.shape[0]!
    const times = weights[k]! * f.scale
    a.set(
      f.a.data.map((v) => v * times),
      at * inDim,
    )
    for (let i = 0; i < outDim; i++) b.set(f.b.data.subarray(i * rank, (i + 1) * rank), i * r + at)
    at += rank
  })
  return { a: { shape: [r, inDim], data: a }, b: { shape: [outDim, r], data: b }, missing: 0, total: 0 }
}

/** PEFT's: √(w s) on both factors, the sign on A, and each combined for itself. */
const factorwise = (site: SiteFactors, weights: readonly number[], options: WeightedAdapterOptions): Made => {
  const { factors, path } = site
  const [{ a, b }] = factors as [Factors]
  const other = factors.find((f) => f.a.shape[0] !== a.shape[0])
  if (other)
    throw new GraftError({
      code: 'bad-option',
      culprit: `addWeightedAdapter.combinationType`,
      given: `${options.combinationType} with ranks ${a.shape[0]} and ${other.a.shape[0]} at ${path}`,
      expected: "adapters of one rank (PEFT's arithmetic), or one of cat, svd and those that end in _svd",
    })
  const scaled = weights.map((w, k) => w * factors[k]!.scale)
  const roots = scaled.map((w) => Math.sqrt(Math.abs(w)))
  const signed = roots.map((w, k) => (scaled[k]! >= 0 ? w : -w))
  const of = (part: 'a' | 'b'): Float32Array[] => factors.map((f) => f[part].data)
  return {
    a: { shape: a.shape, data: mixed(of('a'), signed, site, 'A', options) },
    b: { shape: b.shape, data: mixed(of('b'), roots, site, 'B', options) },
    missing: 0,
    total: 0,
  }
}

/** The tasks' matrices as one, by what the combination's name says. */
const mixed = (
  tasks: readonly Float32Array[],
  weights: readonly number[],
  { path, factors }: SiteFactors,
  factor: MaskPlace['factor'],
  { combinationType = 'svd', density = 1, majoritySignMethod = 'total', seed = 0, mask }: WeightedAdapterOptions,
): Float32Array => {
  const drawn = (values: Float32Array, k: number): Float32Array => {
    const at = { path, adapter: factors[k]!.adapter, factor, size: values.length }
    return masked(values, mask?.(at) ?? bernoulli(at, density, seed), density)
  }
  const pruned = (values: Float32Array): Float32Array => masked(values, largest(values, density))
  switch (combinationType.replace(/_svd$/, '')) {
    case 'ties':
      return electedMean(tasks.map(pruned), weights, majoritySignMethod)
    case 'dare_linear':
      return weightedSum(tasks.map(drawn), weights)
    case 'dare_ties':
      return electedMean(tasks.map(drawn), weights, majoritySignMethod)
    case 'magnitude_prune':
      return weightedSum(tasks.map(pruned), weights)
    default:
      return weightedSum(tasks, weights)
  }
}

const bernoulli = ({ path, adapter, factor, size }: MaskPlace, density: number, seed: number): Mask =>
  random(seed, `dare/${adapter}/${path}/${factor}`)
    .fill(new Float32Array(size), 'uniform')
    .map((u) => (u < density ? 1 : 0))

/** Under the names in the file; all of one rank, the rows that are not needed zero. */
const named = (site: SiteFactors, { a, b }: Made, r: number): [string, Value][] => {
  const rank = a.shape[0]!
  const wideB = new Float32Array(site.outDim * r)
  for (let i = 0; i < site.outDim; i++) wideB.set(b.data.subarray(i * rank, (i + 1) * rank), i * r)
  const tallA = new Float32Array(r * site.inDim)
  tallA.set(a.data)
  return [
    [site.names.a, { shape: [r, site.inDim], data: tallA }],
    [site.names.b, { shape: [site.outDim, r], data: wideB }],
  ]
}

const check = (
  tuned: Tuned,
  adapters: readonly string[],
  weights: readonly number[],
  { name, combinationType = 'svd', svdRank, svdClamp, density, arithmetic = 'exact', ...rest }: WeightedAdapterOptions,
): void => {
  const bad = (option: string, given: unknown, expected: string): never => {
    throw new GraftError({
      code: 'bad-option',
      culprit: `addWeightedAdapter.${option}`,
      given: String(given),
      expected,
    })
  }
  if (tuned.adapters.includes(name))
    throw new GraftError({
      code: 'adapter-exists',
      culprit: 'adapter',
      given: JSON.stringify(name),
      expected: 'a name that is not in use: deleteAdapter frees one',
    })
  if (adapters.length === 0) bad('adapters', 'none', 'one name or more')
  if (weights.length !== adapters.length || !weights.every(Number.isFinite))
    bad('weights', JSON.stringify(weights), `${adapters.length} finite numbers, one an adapter`)
  if (!types.includes(combinationType)) bad('combinationType', combinationType, `one of ${types.join(', ')}`)
  if (svdRank !== undefined && !(Number.isInteger(svdRank) && svdRank >= 1))
    bad('svdRank', svdRank, 'a whole number ≥ 1')
  if (svdClamp !== undefined && !(svdClamp > 0 && svdClamp <= 1)) bad('svdClamp', svdClamp, 'a quantile in (0, 1]')
  if (/ties|dare|prune/.test(combinationType) && !(density !== undefined && density > 0 && density <= 1))
    bad('density', density, `the share of entries that ${combinationType} keeps, in (0, 1]`)
  if (!['exact', 'peft'].includes(arithmetic)) bad('arithmetic', arithmetic, 'exact or peft')
  const { majoritySignMethod = 'total' } = rest
  if (!['total', 'frequency'].includes(majoritySignMethod))
    bad('majoritySignMethod', majoritySignMethod, 'total or frequency')
  for (const adapter of adapters) tuned.adapter(adapter)
}
