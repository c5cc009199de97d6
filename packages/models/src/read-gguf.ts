import type { Gguf } from '@graftjs/files'
import { type Format, rowBytes } from '@graftjs/kernels'
import type { Family, ModelConfig } from './family.ts'
import type { Weights } from './stored-source.ts'

const ggufFormats: Partial<Record<string, Format>> = {
  F32: 'f32',
  F16: 'f16',
  BF16: 'bf16',
  Q8_0: 'q8_0',
  Q4_0: 'q4_0',
  Q4_1: 'q4_1',
}
/** All tensors, under their names in transformers. */
export const readGguf = async (
  file: Gguf,
  config: ModelConfig,
  { nameOf }: NonNullable<Family['gguf']>,
): Promise<Weights> => {
  const weights: Weights = new Map()
  for (const [tensor, { type, shape }] of file.tensors) {
    const { name, heads, headDim } = nameOf(tensor, config)
    const stored = await file.read(tensor)
    const format = ggufFormats[type]!
    const bytes = heads && headDim ? unpermuteRows(stored, rowBytes(format, shape[1]!), headDim, heads) : stored
    weights.set(name, { format, shape, bytes })
  }
  return weights
}

/** GGUF interleaves the two halves of each head's rows; transformers keeps them apart. Whole rows move, so packed ones stay packed. */
const unpermuteRows = (bytes: Uint8Array, rowSize: number, headDim: number, heads: number): Uint8Array => {
  const out = new Uint8Array(bytes.byteLength)
  const half = headDim / 2
  for (let h = 0; h < heads; h++)
    for (let i = 0; i < half; i++)
      for (let j = 0; j < 2; j++) {
        const from = (h * headDim + 2 * i + j) * rowSize
        out.set(bytes.subarray(from, from + rowSize), (h * headDim + j * half + i) * rowSize)
      }
  return out
}
