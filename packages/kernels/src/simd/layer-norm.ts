import type { TensorInfo } from '@tensorflow/tfjs-core'
import { type FastCall, registerFast } from './register.ts'
import { rowsPerTask } from './rows.ts'

interface Attrs {
  readonly eps: number
}

export const registerLayerNorm = (): void => {
  registerFast<Attrs>('GraftLayerNorm', (call) => overRows('layerNorm', ['x', 'w', 'b'], call))
  registerFast<Attrs>('GraftLayerNormBack', (call) => overRows('layerNormBack', ['x', 'w', 'dy'], call))
}

const overRows = (
  kernel: 'layerNorm' | 'layerNormBack',
  names: readonly string[],
  { inputs, attrs, backend }: FastCall<Attrs>,
): TensorInfo => {
  const [rows, d] = inputs.x!.shape as [number, number]
  const out = backend.output([rows, d])
  const per = rowsPerTask(d)
  const given = names.map((name) => backend.addressOf(inputs[name]!))
  backend.run(kernel, Math.ceil(rows / per), [...given, out.address, rows, d, attrs.eps, per])
  return out
}
