import type { TensorInfo } from '@tensorflow/tfjs-core'
import { rowBytes } from '../formats.ts'
import type { StoredAttrs } from '../ops/dense.ts'
import { checkIds } from '../ops/gather-rows.ts'
import type { LinearAttrs } from '../ops/linear.ts'
import type { SimdBackend } from './backend.ts'
import { formatIds, gemm, type Segment } from './gemm.ts'
import { type FastCall, registerFast } from './register.ts'

export const registerLinear = (): void => {
  registerFast<LinearAttrs>('GraftLinear', linear)
  registerFast<LinearAttrs>('GraftLinearBack', linearBack)
  registerFast<StoredAttrs>('GraftGatherRows', gatherRows)
}

/** [x | scale·h] · [W | B]ᵀ in one product, after h = x·Aᵀ. */
const linear = ({ inputs, attrs, backend }: FastCall<LinearAttrs>): TensorInfo[] => {
  const { x, w, bias } = inputs as { x: TensorInfo; w: TensorInfo; bias?: TensorInfo }
  const { rows: n, cols: k, format, scales } = attrs
  const m = x.shape[0]!
  const ranks = scales.map((_, i) => inputs[`a${i}`]!.shape[0]!)
  const total = ranks.reduce((a, b) => a + b, 0)
  const y = backend.output([m, n])
  const base: Segment = {
    a: backend.addressOf(x),
    aRow: k,
    aColumn: 1,
    k,
    b: backend.addressOf(w),
    format,
    bByRows: true,
    bRow: k,
  }
  const outputs = [y]
  const segments = [base]
  if (total > 0) {
    const h = backend.output([m, total])
    outputs.push(h)
    let from = 0
    for (const [i, r] of ranks.entries()) {
      const at = h.address + from * 4
      gemm(backend, {
        m,
        n: r,
        c: at,
        ldc: total,
        segments: [{ ...base, b: backend.addressOf(inputs[`a${i}`]!), format: 'f32' }],
      })
      segments.push({
        a: at,
        aRow: total,
        aColumn: 1,
        k: r,
        b: backend.addressOf(inputs[`b${i}`]!),
        bByRows: true,
        bRow: r,
        scale: scales[i]!,
      })
      from += r
    }
  }
  gemm(backend, { m, n, c: y.address, segments, ...(bias && { bias: backend.addressOf(bias) }) })
  return outputs
}

/** [dy | scale·u] · [W ; A] in one product. */
const linearBack = ({ inputs, attrs, backend }: FastCall<LinearAttrs>): TensorInfo => {
  const { dy, w } = inputs as { dy: TensorInfo; w: TensorInfo }
  const { rows: n, cols: k, format, scales } = attrs
  const dx = backend.output([dy.shape[0]!, k])
  const segments: Segment[] = [
    { a: backend.addressOf(dy), aRow: n, aColumn: 1, k: n, b: backend.addressOf(w), format, bByRows: false, bRow: k },
    ...scales.map((scale, i): Segment => {
      const u = inputs[`u${i}`]!
      const r = u.shape[1]!
      return {
        a: backend.addressOf(u),
        aRow: r,
        aColumn: 1,
        k: r,
        b: backend.addressOf(inputs[`a${i}`]!),
        bByRows: false,
        bRow: k,
        scale,
      }
    }),
  ]
  gemm(backend, { m: dy.shape[0]!, n: k, c: dx.address, segments })
  return dx
}

const gatherRows = ({ inputs, attrs, backend }: FastCall<StoredAttrs>): TensorInfo => {
  const { w, ids } = inputs as { w: TensorInfo; ids: TensorInfo }
  const { rows, cols, format } = attrs
  rowBytes(format, cols)
  const count = ids.shape[0]!
  checkIds(backend.valuesOf(ids) as Int32Array, rows)
  const out = backend.output([count, cols])
  backend.run('gatherRows', Math.ceil(count / 16), [
    backend.addressOf(ids),
    count,
    backend.addressOf(w),
    formatIds[format],
    cols,
    out.address,
  ])
  return out
}

export type { SimdBackend }
