import * as tf from '@tensorflow/tfjs-core'

/** A tensor of any rank: ranks are checked where they matter, not in the type. */
export type Tensor = tf.Tensor
export type DataType = 'float32' | 'int32' | 'bool'
export type Values = Float32Array | Int32Array | Uint8Array | number[]

// tfjs types ranks in detail; one alias lets a plain Tensor through everywhere.
type Any = tf.Tensor4D & tf.Tensor1D & tf.Tensor2D & tf.Tensor3D
const loose = (t: Tensor): Any => t as Any

export const tensor = (values: Values, shape: readonly number[], dtype: DataType = 'float32'): Tensor =>
  tf.tensor(values, [...shape], dtype)
export const scalar = (value: number, dtype: DataType = 'float32'): Tensor => tf.scalar(value, dtype)
export const zeros = (shape: readonly number[], dtype: DataType = 'float32'): Tensor => tf.zeros([...shape], dtype)
export const ones = (shape: readonly number[], dtype: DataType = 'float32'): Tensor => tf.ones([...shape], dtype)
export const fill = (shape: readonly number[], value: number): Tensor => tf.fill([...shape], value)
export const zerosLike = (x: Tensor): Tensor => tf.zerosLike(x)
export const range = (from: number, to: number, dtype: 'float32' | 'int32' = 'int32'): Tensor =>
  tf.range(from, to, 1, dtype)

/** A whole number beside an int32 tensor is int32 too: tfjs would make floats of both. */
const like = (n: Tensor | number, other: Tensor | number): Tensor | number =>
  typeof n === 'number' && typeof other !== 'number' && other.dtype === 'int32' && Number.isInteger(n)
    ? tf.scalar(n, 'int32')
    : n

export const add = (a: Tensor | number, b: Tensor | number): Tensor => tf.add(like(a, b), like(b, a))
export const addN = (xs: Tensor[]): Tensor => tf.addN(xs)
export const sub = (a: Tensor | number, b: Tensor | number): Tensor => tf.sub(like(a, b), like(b, a))
export const mul = (a: Tensor | number, b: Tensor | number): Tensor => tf.mul(like(a, b), like(b, a))
export const div = (a: Tensor | number, b: Tensor | number): Tensor => tf.div(a, b)
export const pow = (a: Tensor, b: Tensor | number): Tensor => tf.pow(a, b)
export const maximum = (a: Tensor | number, b: Tensor | number): Tensor => tf.maximum(like(a, b), like(b, a))
export const minimum = (a: Tensor | number, b: Tensor | number): Tensor => tf.minimum(like(a, b), like(b, a))
export const floorDiv = (a: Tensor, b: Tensor | number): Tensor => tf.floorDiv(a, like(b, a))
export const mod = (a: Tensor, b: Tensor | number): Tensor => tf.mod(a, like(b, a))
export const neg = (x: Tensor): Tensor => tf.neg(x)
export const abs = (x: Tensor): Tensor => tf.abs(x)
export const exp = (x: Tensor): Tensor => tf.exp(x)
export const log = (x: Tensor): Tensor => tf.log(x)
export const sqrt = (x: Tensor): Tensor => tf.sqrt(x)
export const rsqrt = (x: Tensor): Tensor => tf.rsqrt(x)
export const square = (x: Tensor): Tensor => tf.square(x)
export const sigmoid = (x: Tensor): Tensor => tf.sigmoid(x)
export const tanh = (x: Tensor): Tensor => tf.tanh(x)
export const erf = (x: Tensor): Tensor => tf.erf(x)
export const relu = (x: Tensor): Tensor => tf.relu(x)
export const softplus = (x: Tensor): Tensor => tf.softplus(x)
/** x · sigmoid(x). */
export const silu = (x: Tensor): Tensor => tf.mul(x, tf.sigmoid(x))
export const softmax = (x: Tensor): Tensor => tf.softmax(x)
export const logSoftmax = (x: Tensor): Tensor => tf.logSoftmax(x)

export const matMul = (a: Tensor, b: Tensor, transposeA = false, transposeB = false): Tensor =>
  tf.matMul(a, b, transposeA, transposeB)
/** x [..., in], w [out, in] -> x · wᵀ [..., out]. */
export const linear = (x: Tensor, w: Tensor): Tensor => {
  const [out, inner] = w.shape as [number, number]
  const rows = tf.reshape(x, [-1, inner])
  return tf.reshape(tf.matMul(rows, w, false, true), [...x.shape.slice(0, -1), out])
}

export const expandDims = (x: Tensor, axis: number): Tensor => tf.expandDims(x, axis)
export const squeeze = (x: Tensor, axes?: number[]): Tensor => tf.squeeze(x, axes)
export const transpose = (x: Tensor, perm?: number[]): Tensor => tf.transpose(x, perm)
export const concat = (xs: Tensor[], axis = -1): Tensor => tf.concat(xs, axis < 0 ? axis + xs[0]!.rank : axis)
export const slice = (x: Tensor, begin: number[], size?: number[]): Tensor => tf.slice(x, begin, size)
export const split = (x: Tensor, sizes: number[] | number, axis = -1): Tensor[] =>
  tf.split(x, sizes, axis < 0 ? axis + x.rank : axis)
export const stack = (xs: Tensor[], axis = 0): Tensor => tf.stack(xs, axis)
export const gather = (x: Tensor, indices: Tensor, axis = 0): Tensor => tf.gather(x, loose(indices), axis)
export const tile = (x: Tensor, reps: number[]): Tensor => tf.tile(x, reps)
/** 1 at the place of each index, as float32; a row of zeros for an index outside 0 … depth - 1. tfjs wants a depth of two. */
export const oneHot = (x: Tensor, depth: number): Tensor =>
  depth > 1 ? tf.oneHot(loose(x), depth, 1, 0, 'float32') : cast(tf.expandDims(tf.equal(x, 0), x.rank), 'float32')
export const cast = (x: Tensor, dtype: DataType): Tensor => {
  const y = tf.cast(x, dtype)
  // tfjs's webgpu only relabels ints as floats, and its transpose of such a tensor does not compile; a product copies.
  return dtype === 'float32' && x.dtype !== 'float32' && tf.getBackend() === 'webgpu' ? tf.mul(y, 1) : y
}

export const sum = (x: Tensor, axis?: number | number[], keepDims = false): Tensor => tf.sum(x, axis, keepDims)
export const mean = (x: Tensor, axis?: number | number[], keepDims = false): Tensor => tf.mean(x, axis, keepDims)
export const max = (x: Tensor, axis?: number | number[], keepDims = false): Tensor => tf.max(x, axis, keepDims)
export const argMax = (x: Tensor, axis = -1): Tensor => tf.argMax(x, axis < 0 ? axis + x.rank : axis)
export const logSumExp = (x: Tensor, axis?: number | number[], keepDims = false): Tensor =>
  tf.logSumExp(x, axis, keepDims)
export const topk = (x: Tensor, k: number): { values: Tensor; indices: Tensor } => tf.topk(x, k)

export const where = (condition: Tensor, a: Tensor, b: Tensor): Tensor => tf.where(condition, a, b)
export const equal = (a: Tensor | number, b: Tensor | number): Tensor => tf.equal(a, b)
export const notEqual = (a: Tensor | number, b: Tensor | number): Tensor => tf.notEqual(a, b)
export const greater = (a: Tensor | number, b: Tensor | number): Tensor => tf.greater(a, b)
export const greaterEqual = (a: Tensor | number, b: Tensor | number): Tensor => tf.greaterEqual(a, b)
export const less = (a: Tensor | number, b: Tensor | number): Tensor => tf.less(a, b)
export const lessEqual = (a: Tensor | number, b: Tensor | number): Tensor => tf.lessEqual(a, b)
export const logicalAnd = (a: Tensor, b: Tensor): Tensor => tf.logicalAnd(a, b)
export const logicalOr = (a: Tensor, b: Tensor): Tensor => tf.logicalOr(a, b)
export const logicalNot = (a: Tensor): Tensor => tf.logicalNot(a)

/** The same data under a new handle (a reference is counted, nothing is copied). The kernel alone, as a step makes hundreds: tfjs's own opens a scope around it. */
export const clone = (x: Tensor): Tensor => tf.engine().runKernel('Identity', { x }) as Tensor
export const isTensor = (value: unknown): value is Tensor => value instanceof tf.Tensor
export const keep = (x: Tensor): Tensor => tf.keep(x)
export const dispose = (x: Tensor | Tensor[]): void => {
  for (const t of Array.isArray(x) ? x : [x]) t.dispose()
}

/** Runs `f` and frees every tensor it made but those it returns (found in arrays and plain objects, not in Map or Set). */
export const scope = <T>(f: () => T): T => tf.tidy(f as () => tf.TensorContainer) as T

/** Live tensors and their bytes. */
export const memory = (): { tensors: number; bytes: number } => {
  const { numTensors, numBytes } = tf.memory()
  return { tensors: numTensors, bytes: numBytes }
}
export const backendName = (): string => tf.getBackend()
