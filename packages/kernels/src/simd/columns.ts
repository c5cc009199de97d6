import type { TensorInfo } from '@tensorflow/tfjs-core'
import { type FastCall, registerFast } from './register.ts'

export const registerColumns = (): void => {
  registerFast<{ count: number }>('GraftSplitColumns', splitColumns)
  registerFast<object>('GraftSplitColumnsBack', joinColumns)
}

/** Copies of whole rows: the engine's own memmove is as fast as a kernel would be. */
const splitColumns = ({ inputs, attrs, backend }: FastCall<{ count: number }>): TensorInfo[] => {
  const x = inputs.x!
  const [rows, width] = x.shape as [number, number]
  const own = width / attrs.count
  const from = backend.valuesOf(x)
  return Array.from({ length: attrs.count }, (_, n) => {
    const out = backend.output([rows, own])
    const to = backend.valuesOf(out)
    for (let r = 0; r < rows; r++) to.set(from.subarray(r * width + n * own, r * width + (n + 1) * own), r * own)
    return out
  })
}

const joinColumns = ({ inputs, backend }: FastCall<object>): TensorInfo => {
  const parts = Object.keys(inputs).map((_, n) => inputs[`x${n}`]!)
  const [rows, own] = parts[0]!.shape as [number, number]
  const width = own * parts.length
  const out = backend.output([rows, width])
  const to = backend.valuesOf(out)
  for (const [n, part] of parts.entries()) {
    const from = backend.valuesOf(part)
    for (let r = 0; r < rows; r++) to.set(from.subarray(r * own, (r + 1) * own), r * width + n * own)
  }
  return out
}
