import { engine } from '@tensorflow/tfjs-core'

/** The most bytes that tensors held at once while `f` ran, over what they held before; a buffer of several handles once. */
export const peakBytes = (f: () => void): number => {
  const { tensorInfo } = engine().state as unknown as { tensorInfo: WeakMap<object, { bytes: number }> }
  let [held, peak] = [0, 0]
  // The engine enters a buffer here with its first handle, and takes it out with its last.
  Object.assign(tensorInfo, {
    set: (id: object, info: { bytes: number }) => {
      held += info.bytes
      peak = Math.max(peak, held)
      return WeakMap.prototype.set.call(tensorInfo, id, info)
    },
    delete: (id: object) => {
      held -= tensorInfo.get(id)?.bytes ?? 0
      return WeakMap.prototype.delete.call(tensorInfo, id)
    },
  })
  try {
    f()
    return peak
  } finally {
    for (const method of ['set', 'delete']) Reflect.deleteProperty(tensorInfo, method)
  }
}
