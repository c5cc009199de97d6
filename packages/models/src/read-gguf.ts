import { type Gguf, type GgufType, type PackedType, partRows, repack } from '@graftjs/files'
import { type Format, rowBytes } from '@graftjs/kernels'
import type { Family, ModelConfig } from './family.ts'
import type { Weights } from './stored-source.ts'

const ggufFormats: Readonly<Record<PackedType, Format>> = {
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
  { nameOf, headsOf }: NonNullable<Family['gguf']>,
): Promise<Weights> => {
  const weights: Weights = new Map()
  for (const [tensor, { type, shape }] of file.tensors) {
    const order = headsOf?.(tensor, config)
    // What is read is of a readable type.
    const packed = repack(
      type as GgufType,
      await file.read(tensor),
      shape.reduce((a, b) => a * b, 1),
    )
    const format = ggufFormats[packed.type]
    // GGUF interleaves the two halves of each head's rows; transformers keeps them apart.
    const bytes = order ? partRows(packed.bytes, { ...order, rowSize: rowBytes(format, shape[1] ?? 1) }) : packed.bytes
    weights.set(nameOf(tensor), { format, shape, bytes })
  }
  return weights
}
