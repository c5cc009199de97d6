import type { Tensor } from '@graftjs/tensor'
import { engine, type TypedArray } from '@tensorflow/tfjs-core'

/** What tfjs's WebGPU backend knows of a tensor: its numbers until they are uploaded, then none. */
interface Uploading {
  readonly tensorMap?: { get(dataId: object): { readonly values?: unknown } }
}

/** A tensor's numbers where they can be had at once; undefined where they lie on a GPU, which is read asynchronously only. */
export const hostValues = (t: Tensor): TypedArray | undefined => {
  const { tensorMap } = engine().backend as Uploading
  return tensorMap && !tensorMap.get(t.dataId).values ? undefined : (t.dataSync() as TypedArray)
}
