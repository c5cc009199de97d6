import type { TensorInfo } from '@tensorflow/tfjs-core'
import { type FastCall, registerFast } from './register.ts'
import { rowsPerTask } from './rows.ts'

// Stock ops that a training step runs hot. Anything that is not float32 in one of the shapes below falls through to the cpu kernel.
const binaryOps = { Add: 0, AddV2: 0, Sub: 1, Multiply: 2, RealDiv: 3 } as const
const unaryOps = { Exp: 0, Sigmoid: 1, Tanh: 2, Sqrt: 3, Rsqrt: 4, Square: 5, Neg: 6, Relu: 7 } as const
const CHUNK = 16384

export const registerElementwise = (): void => {
  for (const [name, op] of Object.entries(binaryOps)) registerFast(name, (call) => binary(op, call))
  for (const [name, op] of Object.entries(unaryOps)) registerFast(name, (call) => unary(op, call))
  registerFast<object>('GraftResidual', ({ inputs, backend }) =>
    binary(0, { inputs: { a: inputs.x!, b: inputs.y! }, attrs: {}, backend }),
  )
  registerFast<object>('AddN', addN)
  registerFast<{ axis: number | number[]; keepDims: boolean }>('Sum', (call) => reduce('sum', call))
  registerFast<{ reductionIndices: number | number[]; keepDims: boolean }>('Max', ({ attrs, ...call }) =>
    reduce('max', { ...call, attrs: { axis: attrs.reductionIndices, keepDims: attrs.keepDims } }),
  )
  registerFast<{ dim: number }>('Softmax', softmax)
}

const size = (t: TensorInfo): number => t.shape.reduce((a, b) => a * b, 1)

const unary = (op: number, { inputs, backend }: FastCall<object>): TensorInfo | undefined => {
  const x = inputs.x!
  if (x.dtype !== 'float32') return undefined
  const out = backend.output(x.shape)
  backend.run('unary', Math.ceil(size(x) / CHUNK), [op, backend.addressOf(x), out.address, size(x)])
  return out
}

const binary = (op: number, { inputs, backend }: FastCall<object>): TensorInfo | undefined => {
  const { a, b } = inputs as { a: TensorInfo; b: TensorInfo }
  if (a.dtype !== 'float32' || b.dtype !== 'float32') return undefined
  if (a.shape.join() === b.shape.join()) {
    const out = backend.output(a.shape)
    backend.run('binary', Math.ceil(size(a) / CHUNK), [
      op,
      backend.addressOf(a),
      backend.addressOf(b),
      out.address,
      size(a),
    ])
    return out
  }
  return broadcast(op, a, b, false, backend) ?? broadcast(op, b, a, true, backend)
}

/** `small` is one number, one row for all, or one number a row of `large`. `swapped`: small stands first in the op. */
const broadcast = (
  op: number,
  large: TensorInfo,
  small: TensorInfo,
  swapped: boolean,
  backend: FastCall<object>['backend'],
): TensorInfo | undefined => {
  if (small.shape.length > large.shape.length || size(large) === 0) return undefined
  if (size(small) === 1) {
    const out = backend.output(large.shape)
    backend.run('binaryScalar', Math.ceil(size(large) / CHUNK), [
      op,
      backend.addressOf(large),
      backend.valuesOf(small)[0]!,
      out.address,
      size(large),
      swapped ? 1 : 0,
    ])
    return out
  }
  const columns = large.shape.at(-1) ?? 1
  const oneRow = size(small) === columns && small.shape.at(-1) === columns
  const perRow =
    small.shape.length === large.shape.length &&
    small.shape.at(-1) === 1 &&
    small.shape.slice(0, -1).join() === large.shape.slice(0, -1).join()
  if (!oneRow && !perRow) return undefined
  const rows = size(large) / columns
  const per = rowsPerTask(columns)
  const out = backend.output(large.shape)
  const args = [
    op,
    backend.addressOf(large),
    backend.addressOf(small),
    out.address,
    rows,
    columns,
    perRow ? 0 : 1,
    per,
    swapped ? 1 : 0,
  ]
  backend.run('binaryRows', Math.ceil(rows / per), args)
  return out
}

const addN = ({ inputs, backend }: FastCall<object>): TensorInfo | undefined => {
  const list = Object.values(inputs)
  if (list.length < 2 || list.some((t) => t.dtype !== 'float32' || t.shape.join() !== list[0]!.shape.join()))
    return undefined
  const out = backend.output(list[0]!.shape)
  const add = (a: number, b: number): void =>
    backend.run('binary', Math.ceil(size(out) / CHUNK), [0, a, b, out.address, size(out)])
  add(backend.addressOf(list[0]!), backend.addressOf(list[1]!))
  for (const t of list.slice(2)) add(out.address, backend.addressOf(t))
  return out
}

/** Over the last axes, over the first axes, or over all. The order of each sum is fixed. */
const reduce = (
  what: 'sum' | 'max',
  { inputs, attrs, backend }: FastCall<{ axis: number | number[]; keepDims: boolean }>,
): TensorInfo | undefined => {
  const x = inputs.x!
  const rank = x.shape.length
  const axes = [attrs.axis ?? x.shape.map((_, i) => i)]
    .flat()
    .map((a) => (a < 0 ? a + rank : a))
    .sort((a, b) => a - b)
  if (x.dtype !== 'float32' || size(x) === 0 || rank === 0 || axes.length === 0) return undefined
  const shape = x.shape.flatMap((n, i) => (axes.includes(i) ? (attrs.keepDims ? [1] : []) : [n]))
  const inner = axes.every((a, i) => a === rank - axes.length + i)
  const outer = axes.every((a, i) => a === i)
  if (inner) {
    const n = axes.reduce((p, a) => p * x.shape[a]!, 1)
    const rows = size(x) / n
    const out = backend.output(shape)
    const per = rowsPerTask(n)
    backend.run('reduceRows', Math.ceil(rows / per), [
      backend.addressOf(x),
      out.address,
      rows,
      n,
      per,
      what === 'max' ? 1 : 0,
    ])
    return out
  }
  if (!outer || what === 'max') return undefined
  const rows = axes.reduce((p, a) => p * x.shape[a]!, 1)
  const columns = size(x) / rows
  const out = backend.output(shape)
  backend.run('sumColumns', Math.ceil(columns / 64), [backend.addressOf(x), out.address, rows, columns, 64])
  return out
}

const softmax = ({ inputs, attrs, backend }: FastCall<{ dim: number }>): TensorInfo | undefined => {
  const logits = inputs.logits!
  const rank = logits.shape.length
  if (logits.dtype !== 'float32' || (attrs.dim !== -1 && attrs.dim !== rank - 1)) return undefined
  const n = logits.shape.at(-1)!
  const rows = size(logits) / n
  const out = backend.output(logits.shape)
  const per = rowsPerTask(n)
  backend.run('softmax', Math.ceil(rows / per), [backend.addressOf(logits), out.address, rows, n, per])
  return out
}
