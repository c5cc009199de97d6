import { type Safetensors, toFloat32 } from '@graftjs/files'
import type { Format } from '@graftjs/kernels'
import type { Family, ModelConfig } from './family.ts'
import type { Stored, Weights } from './stored-source.ts'
import { turnStored } from './turn.ts'

const safetensorsFormats: Partial<Record<string, Format>> = { F32: 'f32', F16: 'f16', BF16: 'bf16' }

// Some files hold places and masks beside the weights. Whole numbers of 8 bits would be packed weights: those are refused.
const buffers = ['I64', 'I32', 'BOOL']

/** How the tensors of a file stand to the weights of a model with this config. */
export interface StoredAs {
  nameOf(tensor: string): string
  turned(name: string): boolean
  /** The name that the tensor gets in a file that this model is saved to. */
  savedAs(tensor: string): string
}

export const storedAs = ({ stored }: Family, config: ModelConfig): StoredAs => ({
  nameOf: (tensor) => stored?.nameOf(tensor, config) ?? tensor,
  turned: (name) => stored?.turned?.(name) ?? false,
  savedAs: (tensor) => stored?.savedAs?.(tensor, config) ?? tensor,
})

/** All tensors, as the family names and shapes them; those of a type that no kernel knows become float32. */
export const readSafetensors = async (file: Safetensors, stored: StoredAs): Promise<Weights> => {
  const weights: Weights = new Map()
  for (const [tensor, { dtype }] of file.tensors) {
    if (buffers.includes(dtype)) continue
    const format = safetensorsFormats[dtype]
    const name = stored.nameOf(tensor)
    const read = await file.read(tensor)
    const weight: Stored = format
      ? { format, shape: read.shape, bytes: read.bytes }
      : { format: 'f32', shape: read.shape, bytes: bytesOf(toFloat32(read)) }
    const isTurned = weight.shape.length === 2 && stored.turned(name)
    weights.set(name, isTurned ? turnStored(weight) : weight)
  }
  return weights
}

const bytesOf = (values: Float32Array): Uint8Array =>
  new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
