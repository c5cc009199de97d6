import { random, scope, type Tensor, tensor } from '@graftjs/tensor'
import { type Format, rowBytes } from '../src/index.ts'

/** A tensor to be: made anew on each backend. */
export interface Spec {
  readonly data: Float32Array | Int32Array
  readonly shape: readonly number[]
  readonly dtype: 'float32' | 'int32'
}

export const sizeOf = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1)

/** Normal numbers of the stream `name`. */
export const floats = (shape: readonly number[], name: string, factor = 1): Spec => ({
  data: random(1, name)
    .fill(new Float32Array(sizeOf(shape)), 'normal')
    .map((x) => x * factor),
  shape,
  dtype: 'float32',
})
export const ints = (shape: readonly number[], values: readonly number[]): Spec => ({
  data: Int32Array.from(values),
  shape,
  dtype: 'int32',
})
export const make = ({ data, shape, dtype }: Spec): Tensor => tensor(data, shape, dtype)

/** The numbers of what `f` makes; nothing else is left behind. */
export const numbers = (f: () => Tensor): Float32Array => scope(() => f().dataSync() as Float32Array)

/** ‖got - wanted‖ / ‖wanted‖; not a number if any number is none. */
export const distance = (got: ArrayLike<number>, wanted: ArrayLike<number>): number => {
  if (got.length !== wanted.length) return Number.NaN
  let [error, total] = [0, 0]
  for (let i = 0; i < wanted.length; i++) {
    error += (got[i]! - wanted[i]!) ** 2
    total += wanted[i]! ** 2
  }
  return error === 0 ? 0 : Math.sqrt(error / total)
}

/** Random bytes that are a weight of sane numbers in `format`. */
export const randomWeight = (format: Format, rows: number, cols: number): Uint8Array => {
  const bytes = new Uint8Array(rows * rowBytes(format, cols))
  const r = random(3, `${format} ${rows} ${cols}`)
  const view = new DataView(bytes.buffer)
  for (let at = 0; at < bytes.length; at++) bytes[at] = r.int(256)
  if (format === 'f32') for (let at = 0; at < bytes.length; at += 4) view.setFloat32(at, r.normal(), true)
  else if (format === 'bf16') for (let at = 0; at < bytes.length; at += 2) view.setUint16(at, 0x3f00 + r.int(200), true)
  else if (format === 'f16')
    for (let at = 0; at < bytes.length; at += 2) view.setUint16(at, r.int(0x3d00) | (r.int(2) << 15), true)
  else
    for (let at = 0; at < bytes.length; at += rowBytes(format, 32)) {
      view.setUint16(at, 0x2000 + r.int(1000), true)
      if (format === 'q4_1') view.setUint16(at + 2, 0xa000 + r.int(1000), true)
    }
  return bytes
}
