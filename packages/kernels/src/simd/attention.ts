import type { TensorInfo } from '@tensorflow/tfjs-core'
import type { SimdBackend } from './backend.ts'
import { type FastCall, registerFast } from './register.ts'

interface Attrs {
  readonly scale: number
  readonly causal: boolean
  readonly open: number
  readonly window?: number
  readonly cap?: number
}

export const registerAttention = (): void => {
  registerFast<Attrs>('GraftAttention', attention)
  registerFast<Attrs>('GraftAttentionBack', attentionBack)
}

/** As in assembly/attention.ts. */
const BLOCK = 90

const attention = ({ inputs, attrs, backend }: FastCall<Attrs>): TensorInfo[] => {
  const { q, k } = inputs as Record<string, TensorInfo>
  const [batch, length, heads, dim] = q!.shape as [number, number, number, number]
  const keys = k!.shape[1]!
  const [wide, padded] = [up(dim), up(keys)]
  const out = backend.output(q!.shape)
  const lse = backend.output([batch, heads, length])
  backend.reserveScratch(
    4 *
      (padded * dim +
        keys * wide +
        BLOCK * padded +
        BLOCK * Math.max(padded, dim) +
        BLOCK * wide +
        6 * Math.max(dim, keys) +
        4096),
  )
  backend.run('attention', batch * heads, args(backend, inputs, attrs, out.address, lse.address))
  return [out, lse]
}

const attentionBack = ({ inputs, attrs, backend }: FastCall<Attrs>): TensorInfo[] => {
  const { q, k, v, out, lse, dout } = inputs as Record<string, TensorInfo>
  const dim = q!.shape[3]!
  const [batch, keys, own] = k!.shape as [number, number, number, number]
  const [wide, padded] = [up(dim), up(keys)]
  const tall = padded + 16
  const grads = [q!, k!, v!].map((t) => backend.output(t.shape))
  const blocks = 2 * (BLOCK + 6) * tall + tall * Math.max(BLOCK, dim) + BLOCK * tall + 3 * BLOCK * wide
  backend.reserveScratch(
    4 * (2 * padded * dim + keys * wide + blocks + 2 * tall * wide + 6 * Math.max(dim, keys, BLOCK) + 4096),
  )
  const given = args(backend, inputs, attrs, backend.addressOf(out!), backend.addressOf(lse!))
  backend.run('attentionBack', batch * own, [...given, backend.addressOf(dout!), ...grads.map((t) => t.address)])
  return grads
}

/** The widest tile has 16 columns. */
const up = (n: number): number => Math.ceil(n / 16) * 16

const args = (
  backend: SimdBackend,
  inputs: FastCall<Attrs>['inputs'],
  { scale, causal, open, window = 0, cap = 0 }: Attrs,
  out: number,
  lse: number,
): number[] => {
  const { q, k, v, querySegments, keySegments, queryPositions, keyPositions } = inputs as Record<string, TensorInfo>
  const [batch, length, heads, dim] = q!.shape as [number, number, number, number]
  const [keys, own] = k!.shape.slice(1) as [number, number]
  const simple = [querySegments!, keySegments!].every((t) => backend.valuesOf(t).every((s) => s === 0))
  const tensors = [q!, k!, v!].map((t) => backend.addressOf(t))
  const segments = [backend.addressOf(querySegments!), backend.addressOf(keySegments!)]
  const sizes = [batch, length, keys, heads, own, dim]
  return [
    ...tensors,
    out,
    lse,
    ...segments,
    ...sizes,
    scale,
    causal ? 1 : 0,
    open,
    keys - open - length,
    simple ? 1 : 0,
    window,
    ...[queryPositions, keyPositions].map((t) => (t ? backend.addressOf(t) : 0)),
    cap,
  ]
}
