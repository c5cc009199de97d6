import type { EncoderDecoderConfig } from '../../src/index.ts'

type Matrix = number[][]
/** A tensor of the checkpoint by its name, as rows; a vector is one row. */
export type Checkpoint = (name: string) => Matrix | undefined

/** T5's forward pass (Raffel et al. 2020) in float64 for one row without padding: logits [T, V]. */
export const referenceT5 = (
  c: EncoderDecoderConfig,
  weights: Checkpoint,
  ids: number[],
  decoderIds: number[],
): Matrix => {
  const get = (name: string): Matrix => weights(name) ?? fail(name)
  const linear = (x: Matrix, name: string): Matrix => {
    const bias = weights(`${name}.bias`)?.[0]
    return x.map((row) => get(`${name}.weight`).map((w, o) => dot(row, w) + (bias?.[o] ?? 0)))
  }
  const norm = (x: Matrix, name: string): Matrix =>
    x.map((row) => {
      const rms = Math.sqrt(dot(row, row) / row.length + c.layerNormEpsilon)
      return row.map((v, i) => (v / rms) * get(`${name}.weight`)[0]![i]!)
    })
  const attention = (
    x: Matrix,
    from: Matrix,
    name: string,
    bias: (i: number, j: number, h: number) => number,
  ): Matrix => {
    const [q, k, v] = [linear(x, `${name}.q`), linear(from, `${name}.k`), linear(from, `${name}.v`)]
    const mixed = q.map((row, i) =>
      Array.from({ length: c.numHeads }, (_, h) => {
        const part = (r: number[]): number[] => r.slice(h * c.dKv, (h + 1) * c.dKv)
        const e = k.map((key, j) => Math.exp(dot(part(row), part(key)) + bias(i, j, h)))
        const total = e.reduce((a, b) => a + b, 0)
        return part(row).map((_, n) => v.reduce((sum, value, j) => sum + (e[j]! / total) * part(value)[n]!, 0))
      }).flat(),
    )
    return linear(mixed, `${name}.o`)
  }
  const side = (name: 'encoder' | 'decoder', tokens: number[], memory?: Matrix): Matrix => {
    const table = get(`${name}.block.0.layer.0.SelfAttention.relative_attention_bias.weight`)
    const bias = (i: number, j: number, h: number): number =>
      memory && j > i ? Number.NEGATIVE_INFINITY : table[bucket(j - i, !memory)]![h]!
    let x = tokens.map((id) => get('shared.weight')[id]!)
    for (let b = 0; b < (memory ? c.numDecoderLayers : c.numLayers); b++) {
      const layer = (n: number): string => `${name}.block.${b}.layer.${n}`
      let h = norm(x, `${layer(0)}.layer_norm`)
      x = plus(x, attention(h, h, `${layer(0)}.SelfAttention`, bias))
      if (memory) {
        h = norm(x, `${layer(1)}.layer_norm`)
        x = plus(
          x,
          attention(h, memory, `${layer(1)}.EncDecAttention`, () => 0),
        )
      }
      const ff = layer(memory ? 2 : 1)
      const inner = linear(norm(x, `${ff}.layer_norm`), `${ff}.DenseReluDense.wi`)
      x = plus(
        x,
        linear(
          inner.map((row) => row.map((v) => Math.max(0, v))),
          `${ff}.DenseReluDense.wo`,
        ),
      )
    }
    return norm(x, `${name}.final_layer_norm`)
  }
  /** Of key - query: the near ones each their own, then logarithmically wider ones up to the last. */
  const bucket = (distance: number, bothWays: boolean): number => {
    const count = c.relativeAttentionNumBuckets / (bothWays ? 2 : 1)
    const offset = bothWays && distance > 0 ? count : 0
    const n = bothWays ? Math.abs(distance) : -distance
    const near = count / 2
    if (n < near) return offset + n
    const octaves = Math.log(n / near) / Math.log(c.relativeAttentionMaxDistance / near)
    return offset + Math.min(count - 1, near + Math.floor(octaves * (count - near) + 1e-9))
  }
  const out = side('decoder', decoderIds, side('encoder', ids))
  const scaled = c.tieWordEmbeddings ? out.map((row) => row.map((v) => v / Math.sqrt(c.dModel))) : out
  return linear(scaled, c.tieWordEmbeddings ? 'shared' : 'lm_head')
}

const dot = (a: number[], b: number[]): number => a.reduce((sum, v, i) => sum + v * b[i]!, 0)
const plus = (a: Matrix, b: Matrix): Matrix => a.map((row, i) => row.map((v, j) => v + b[i]![j]!))
const fail = (name: string): never => {
  throw new Error(`no ${name}`)
}
