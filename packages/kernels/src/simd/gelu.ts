import type { TensorInfo } from '@tensorflow/tfjs-core'
import { type FastCall, registerFast } from './register.ts'

interface Attrs {
  readonly form: 'erf' | 'tanh'
}

export const registerGelu = (): void => {
  registerFast<Attrs>('GraftGelu', (call) => overAll('gelu', [call.inputs.x!], call))
  registerFast<Attrs>('GraftGeluBack', (call) => overAll('geluBack', [call.inputs.x!, call.inputs.dy!], call))
}

/** As in assembly/gelu.ts. */
const CHUNK = 8192

const overAll = (kernel: 'gelu' | 'geluBack', given: TensorInfo[], { attrs, backend }: FastCall<Attrs>): TensorInfo => {
  const { shape } = given[0]!
  const count = shape.reduce((a, b) => a * b, 1)
  const out = backend.output(shape)
  backend.run(kernel, Math.ceil(count / CHUNK), [
    ...given.map((t) => backend.addressOf(t)),
    out.address,
    count,
    attrs.form === 'tanh' ? 1 : 0,
  ])
  return out
}
