import type { Json, JsonObject } from '@graftjs/files'
import { GraftError } from '@graftjs/tensor/error'
import { readConfig } from '../read-config.ts'
import type { RopeScaling } from '../rope-frequencies.ts'

export interface Rope {
  readonly ropeTheta: number
  readonly ropeScaling?: RopeScaling
  readonly maxPositionEmbeddings: number
}

/**
 * The rotary settings of a config.json: transformers 5 keeps them in rope_parameters, earlier versions in rope_scaling and
 * beside the rest. Types that depend on the length of the text (dynamic, longrope) are refused.
 */
export const readRope = (json: JsonObject, file: string, defaultMax: number): Rope => {
  const rope = { ...(json.rope_scaling as JsonObject | null), ...(json.rope_parameters as JsonObject | null) }
  // Keys that each model_type would have by default stand in config.json itself.
  const read = readConfig({ ...json, ...rope }, file)
  const max = read.number('max_position_embeddings', defaultMax)
  read.only('partial_rotary_factor', 1)
  const kind = rope.rope_type ?? rope.type ?? 'default'
  const scaling = scalingOf(kind, rope, file, max)
  return {
    ropeTheta: read.number('rope_theta', 10000),
    ...(scaling && { ropeScaling: scaling }),
    // YaRN stretches a context that config.json gives as it was before.
    maxPositionEmbeddings:
      scaling?.kind === 'yarn' ? Math.max(max, scaling.factor * scaling.originalMaxPositions) : max,
  }
}

const scalingOf = (kind: Json, rope: JsonObject, file: string, max: number): RopeScaling | undefined => {
  const read = readConfig(rope, `${file}: rope parameters`)
  const original = (): number => read.number('original_max_position_embeddings', max)
  switch (kind) {
    case 'default':
      return undefined
    case 'linear':
      return { kind, factor: read.number('factor') }
    case 'llama3':
      return {
        kind,
        factor: read.number('factor'),
        lowFreqFactor: read.number('low_freq_factor'),
        highFreqFactor: read.number('high_freq_factor'),
        originalMaxPositions: original(),
      }
    case 'yarn':
      return {
        kind,
        factor: read.number('factor', max / original()),
        attentionFactor: yarnAttention(rope, file, max / original()),
        betaFast: read.number('beta_fast', 32),
        betaSlow: read.number('beta_slow', 1),
        originalMaxPositions: original(),
        truncate: read.flag('truncate', true),
      }
  }
  throw new GraftError({
    code: 'unsupported-option',
    culprit: `${file}: rope_type`,
    given: JSON.stringify(kind),
    expected: '"default", "linear", "llama3" or "yarn"',
  })
}

/** 0.1 · mscale · ln(factor) + 1, or the quotient of two of them, where the config names none. */
const yarnAttention = (rope: JsonObject, file: string, stretch: number): number => {
  const read = readConfig(rope, `${file}: rope parameters`)
  const factor = read.number('factor', stretch)
  const given = read.optional('attention_factor')
  if (given !== undefined) return given
  const [mscale, all] = [read.optional('mscale'), read.optional('mscale_all_dim')]
  const magnitude = (m: number): number => (factor <= 1 ? 1 : 0.1 * m * Math.log(factor) + 1)
  return mscale && all ? magnitude(mscale) / magnitude(all) : magnitude(1)
}
