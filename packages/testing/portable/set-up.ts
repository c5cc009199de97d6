import { useSimd } from '@graftjs/kernels'
import { registerGradients } from '@graftjs/tensor/register'
import * as tf from '@tensorflow/tfjs-core'
import type { PortableCase, Target } from './protocol.ts'

const NO_ADAPTER =
  'no WebGPU adapter: a GPU with its driver has one, and so has a Chromium, Chrome or Edge that brings SwiftShader'

/** Runs a case, and fails it for what the backend would keep to itself. */
export type Guard = (c: PortableCase) => Promise<void>

/** Makes the target's backend tfjs's current one; a text says why there is none. */
export const setUp = async (target: Target): Promise<Guard | string> => {
  tf.env().set('IS_TEST', true)
  if (target.backend === 'webgpu') return setUpWebgpu()
  await useSimd({ threads: target.threads, variant: target.variant })
  return async (c) => {
    await tf.setBackend('simd')
    await c.run()
  }
}

const setUpWebgpu = async (): Promise<Guard | string> => {
  if (!navigator.gpu) return 'no WebGPU: navigator.gpu is missing'
  if (!(await navigator.gpu.requestAdapter())) return NO_ADAPTER
  // The stock backend looks for WebGPU when it is imported. The cpu one stands beside it as the second opinion.
  await import('@tensorflow/tfjs-backend-webgpu')
  await import('@tensorflow/tfjs-backend-cpu')
  await registerGradients()
  // Else small tensors would be computed by the cpu's kernels.
  tf.env().set('WEBGPU_CPU_FORWARD', false)
  await tf.setBackend('webgpu')
  const { device } = tf.backend() as unknown as { device: GPUDevice }
  let lost: string | undefined
  void device.lost.then(({ reason, message }) => {
    lost = `the device was lost (${reason}): ${message}`
  })
  return async (c) => {
    await tf.setBackend('webgpu')
    // A shader that does not compile would leave zeros and say nothing.
    device.pushErrorScope('validation')
    const outcome = await Promise.allSettled([(async () => c.run())()])
    const error = await device.popErrorScope()
    if (error) throw new Error(`WebGPU: ${error.message}`)
    if (lost) throw new Error(lost)
    if (outcome[0].status === 'rejected') throw outcome[0].reason
  }
}
