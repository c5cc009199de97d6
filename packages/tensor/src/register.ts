import { getGradient } from '@tensorflow/tfjs-core'

/**
 * Registers the gradients of the stock ops, once. In Node `@tensorflow/tfjs-core` loads a bundle without any, and the file
 * that registers them cannot be imported there (extensionless ESM), so `scripts/build-gradients.mjs` bundles it. The engine
 * and its registry are globals: the ops inside that bundle run on the same engine.
 */
export const registerGradients = async (): Promise<void> => {
  if (getGradient('BatchMatMul')) return
  await import('./generated/stock-gradients.js')
}
