import { type ByteSource, openSafetensors, toFloat32 } from '@graftjs/files'
import type { Format } from '@graftjs/kernels'
import type { Weights } from './stored-source.ts'

const safetensorsFormats: Partial<Record<string, Format>> = { F32: 'f32', F16: 'f16', BF16: 'bf16' }

/** All tensors; those of a type that no kernel knows become float32. */
export const readSafetensors = async (source: ByteSource): Promise<Weights> => {
  const file = await openSafetensors(source)
  const weights: Weights = new Map()
  for (const [name, { dtype }] of file.tensors) {
    const format = safetensorsFormats[dtype]
    const tensor = await file.read(name)
    weights.set(
      name,
      format
        ? { format, shape: tensor.shape, bytes: tensor.bytes }
        : { format: 'f32', shape: tensor.shape, bytes: bytesOf(toFloat32(tensor)) },
    )
  }
  return weights
}

const bytesOf = (values: Float32Array): Uint8Array =>
  new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
