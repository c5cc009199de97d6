import { defineOp } from './define-op.ts'
import { mul, type Tensor, tensor } from './ops.ts'

/** A 32-bit mix of (seed, stream, index): the mask's only source, the same integer arithmetic on every backend. */
export const dropoutHash = (seed: number, stream: number, index: number): number => {
  let h = (Math.imul(index, 0x9e3779b1) ^ Math.imul(seed, 0x85ebca77) ^ stream) >>> 0
  h = Math.imul(h ^ (h >>> 16), 0x7feb352d)
  h = Math.imul(h ^ (h >>> 15), 0x846ca68b)
  return (h ^ (h >>> 16)) >>> 0
}

/** An element lives where its hash is at least this. */
export const dropoutThreshold = (rate: number): number => Math.min(0xffffffff, Math.round(rate * 2 ** 32))

const maskAt = (rate: number, seed: number, stream: number): ((i: number) => number) => {
  const threshold = dropoutThreshold(rate)
  const scale = Math.fround(1 / (1 - rate))
  return (i) => (dropoutHash(seed, stream, i) >= threshold ? scale : 0)
}

type Attrs = { rate: number; seed: number; stream: number }

const run = defineOp<{ x: Tensor }, Attrs>({
  name: 'GraftDropout',
  composed: ({ x }, { rate, seed, stream }) =>
    mul(
      x,
      tensor(
        new Float32Array(x.size).map((_, i) => maskAt(rate, seed, stream)(i)),
        x.shape,
      ),
    ),
  gradient: ([dy], _, { rate, seed, stream }) => ({ x: () => dropout(dy!, rate, seed, stream) }),
  reference: ({ x }, { rate, seed, stream }) => {
    const at = maskAt(rate, seed, stream)
    return { data: x!.data.map((v, i) => v * at(i)), shape: x!.shape }
  },
})

/** Inverted dropout: each element is 0 with probability `rate`, else x / (1 - rate). The mask depends on (seed, stream, index) alone. */
export const dropout = (x: Tensor, rate: number, seed: number, stream: number): Tensor =>
  run({ x }, { rate, seed: seed >>> 0, stream: stream >>> 0 })[0]!
