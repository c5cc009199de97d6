import { type Attribute, getKernel, registerKernel, type TensorInfo, unregisterKernel } from '@tensorflow/tfjs-core'
import type { SimdBackend } from './backend.ts'

export interface FastCall<A> {
  readonly inputs: Readonly<Record<string, TensorInfo>>
  readonly attrs: A
  readonly backend: SimdBackend
}

/** Registers a fast kernel for `simd` in place of the copied cpu one. `undefined` from `run` hands the call to that one. */
export const registerFast = <A extends object>(
  kernelName: string,
  run: (call: FastCall<A>) => TensorInfo | TensorInfo[] | undefined,
): void => {
  const stock = getKernel(kernelName, 'simd')
  if (stock) unregisterKernel(kernelName, 'simd')
  registerKernel({
    kernelName,
    backendName: 'simd',
    kernelFunc: ({ inputs, attrs, backend }) => {
      const call = { inputs: inputs as Record<string, TensorInfo>, attrs: attrs as A, backend: backend as SimdBackend }
      const out = call.backend.whole(() => run(call))
      return out ?? stock!.kernelFunc({ inputs, attrs: attrs as Record<string, Attribute>, backend })
    },
  })
}
