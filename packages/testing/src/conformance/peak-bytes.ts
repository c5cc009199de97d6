import { engine } from '@tensorflow/tfjs-core'

/** The most bytes that tensors held at once while `f` ran, over what they held before. */
export const peakBytes = (f: () => void): number => {
  const state = engine().state as unknown as { numBytes: number }
  const start = state.numBytes
  let [held, peak] = [start, start]
  // The engine counts in a plain field; a property in its place sees every change.
  Object.defineProperty(state, 'numBytes', {
    configurable: true,
    get: () => held,
    set: (bytes: number) => {
      held = bytes
      peak = Math.max(peak, bytes)
    },
  })
  try {
    f()
    return peak - start
  } finally {
    Object.defineProperty(state, 'numBytes', { configurable: true, writable: true, enumerable: true, value: held })
  }
}
