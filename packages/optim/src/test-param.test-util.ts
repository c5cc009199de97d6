import { dispose, keep, type Tensor, tensor } from '@graftjs/tensor'
import type { OptimParam } from './optimizer.ts'

/** A parameter of its own, as core stores them. */
export const testParam = (path: string, values: readonly number[], shape = [values.length]): OptimParam => {
  let value = keep(tensor([...values], shape))
  return {
    path,
    shape,
    get value() {
      return value
    },
    set: (next) => {
      if (next === value) return
      dispose(value)
      value = keep(next)
    },
  }
}

export const values = (x: Tensor): number[] => [...x.dataSync()]
