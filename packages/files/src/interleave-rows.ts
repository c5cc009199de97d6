import { GraftError } from '@graftjs/tensor/error'

/** `heads` heads of `headDim` rows each, of `rowSize` elements (bytes of packed rows, or numbers) a row. */
export interface HeadRows {
  readonly heads: number
  readonly headDim: number
  readonly rowSize: number
}

/**
 * Rotary embeddings pair two rows of a head. In transformers they are half a head apart; llama.cpp wants those of the llama
 * architecture next to each other. Whole rows move, so packed ones stay packed. Shape: [heads · headDim, rowSize].
 */
export const interleaveRows = <T extends Uint8Array | Float32Array>(rows: T, layout: HeadRows): T =>
  moved(rows, layout, (i, half) => (i < half ? 2 * i : 2 * (i - half) + 1))

/** From llama.cpp's order to that of transformers. */
export const partRows = <T extends Uint8Array | Float32Array>(rows: T, layout: HeadRows): T =>
  moved(rows, layout, (i, half) => (i >> 1) + (i & 1) * half)

/** `to` says where row `i` of a head goes. */
const moved = <T extends Uint8Array | Float32Array>(
  rows: T,
  { heads, headDim, rowSize }: HeadRows,
  to: (i: number, half: number) => number,
): T => {
  if (rows.length !== heads * headDim * rowSize || headDim % 2 !== 0)
    throw new GraftError({
      code: 'bad-tensor',
      culprit: 'rows of heads',
      given: `${rows.length} elements for ${heads} heads of ${headDim} rows`,
      expected: `${heads * headDim * rowSize}, and an even number of rows a head`,
    })
  const out = rows.slice() as T
  for (let head = 0; head < heads; head++)
    for (let i = 0; i < headDim; i++) {
      const from = (head * headDim + i) * rowSize
      out.set(rows.subarray(from, from + rowSize), (head * headDim + to(i, headDim / 2)) * rowSize)
    }
  return out
}
