import { GraftError } from '@graftjs/tensor/error'
import type { TensorInfo } from '@tensorflow/tfjs-core'
import { type FastCall, registerFast } from './register.ts'

/** Enough rows a task that taking it costs little beside doing it. */
export const rowsPerTask = (columns: number): number => Math.max(1, Math.ceil(8192 / columns))
const size = (t: TensorInfo): number => t.shape.reduce((a, b) => a * b, 1)

export const registerRows = (): void => {
  registerFast<{ eps: number }>('GraftRmsNorm', rmsNorm)
  registerFast<{ eps: number }>('GraftRmsNormBack', rmsNormBack)
  registerFast<{ sign: number }>('GraftRope', rope)
  registerFast<object>('GraftSwiglu', swiglu)
  registerFast<object>('GraftSwigluBack', swigluBack)
  registerFast<object>('GraftAdamw', adamw as never)
  registerFast<{ rate: number; seed: number; stream: number }>('GraftDropout', dropout)
}

const rmsNorm = ({ inputs, attrs, backend }: FastCall<{ eps: number }>): TensorInfo => {
  const { x, w } = inputs as { x: TensorInfo; w: TensorInfo }
  const [rows, d] = x.shape as [number, number]
  const out = backend.output(x.shape)
  const per = rowsPerTask(d)
  backend.run('rmsNorm', Math.ceil(rows / per), [
    backend.addressOf(x),
    backend.addressOf(w),
    out.address,
    rows,
    d,
    attrs.eps,
    per,
  ])
  return out
}

const rmsNormBack = ({ inputs, attrs, backend }: FastCall<{ eps: number }>): TensorInfo => {
  const { x, w, dy } = inputs as { x: TensorInfo; w: TensorInfo; dy: TensorInfo }
  const [rows, d] = x.shape as [number, number]
  const out = backend.output(x.shape)
  const per = rowsPerTask(d)
  backend.run('rmsNormBack', Math.ceil(rows / per), [
    backend.addressOf(x),
    backend.addressOf(w),
    backend.addressOf(dy),
    out.address,
    rows,
    d,
    attrs.eps,
    per,
  ])
  return out
}

const rope = ({ inputs, attrs, backend }: FastCall<{ sign: number }>): TensorInfo => {
  const { x, positions, cos, sin } = inputs as Record<string, TensorInfo>
  const [batch, length, heads, dim] = x!.shape as [number, number, number, number]
  checkPositions(backend.valuesOf(positions!), cos!.shape[0]!)
  const out = backend.output(x!.shape)
  const per = rowsPerTask(heads * dim)
  const tables = [backend.addressOf(positions!), backend.addressOf(cos!), backend.addressOf(sin!)]
  backend.run('rope', Math.ceil((batch * length) / per), [
    backend.addressOf(x!),
    ...tables,
    out.address,
    batch * length,
    heads,
    dim,
    attrs.sign,
    per,
  ])
  return out
}

/** The kernel reads where the position says. */
const checkPositions = (positions: ArrayLike<number>, rows: number): void => {
  for (let i = 0; i < positions.length; i++) {
    if (positions[i]! >= 0 && positions[i]! < rows) continue
    throw new GraftError({
      code: 'bad-id',
      culprit: `positions[${i}]`,
      given: String(positions[i]),
      expected: `0 … ${rows - 1}, the rows of the tables`,
    })
  }
}

const swiglu = ({ inputs, backend }: FastCall<object>): TensorInfo => {
  const { gate, up } = inputs as { gate: TensorInfo; up: TensorInfo }
  const out = backend.output(gate.shape)
  backend.run('swiglu', Math.ceil(size(gate) / 8192), [
    backend.addressOf(gate),
    backend.addressOf(up),
    out.address,
    size(gate),
  ])
  return out
}

const swigluBack = ({ inputs, backend }: FastCall<object>): TensorInfo[] => {
  const { gate, up, dy } = inputs as Record<string, TensorInfo>
  const [dg, du] = [backend.output(gate!.shape), backend.output(gate!.shape)]
  const given = [gate!, up!, dy!].map((t) => backend.addressOf(t))
  backend.run('swigluBack', Math.ceil(size(gate!) / 8192), [...given, dg.address, du.address, size(gate!)])
  return [dg, du]
}

interface Adamw {
  readonly lr: number
  readonly beta1: number
  readonly beta2: number
  readonly eps: number
  readonly weightDecay: number
  readonly step: number
  readonly gradScale: number
}

/** Overwrites p, m and v and hands them out again, one reference more each. */
const adamw = ({ inputs, attrs, backend }: FastCall<Adamw>): TensorInfo[] => {
  const { p, m, v, g } = inputs as Record<string, TensorInfo>
  const { lr, beta1, beta2, eps, weightDecay, step, gradScale } = attrs
  const given = [p!, m!, v!, g!].map((t) => backend.addressOf(t))
  const rates = [1 - lr * weightDecay, lr / (1 - beta1 ** step), 1 / Math.sqrt(1 - beta2 ** step)]
  backend.run('adamw', Math.ceil(size(p!) / 16384), [...given, size(p!), beta1, beta2, eps, ...rates, gradScale])
  return [p!, m!, v!].map(({ dataId, shape, dtype }) => {
    backend.incRef(dataId)
    return { dataId, shape, dtype }
  })
}

const dropout = ({ inputs, attrs, backend }: FastCall<{ rate: number; seed: number; stream: number }>): TensorInfo => {
  const x = inputs.x!
  const out = backend.output(x.shape)
  const threshold = Math.min(0xffffffff, Math.round(attrs.rate * 2 ** 32))
  backend.run('dropout', Math.ceil(size(x) / 16384), [
    backend.addressOf(x),
    out.address,
    size(x),
    attrs.seed,
    attrs.stream,
    threshold,
    Math.fround(1 / (1 - attrs.rate)),
  ])
  return out
}
