import { registerBatchMatMul } from './batch-mat-mul.ts'
import { registerLinear } from './linear.ts'

/** Puts the fast versions in place of the stock ones on `simd`, once. */
export const registerFastKernels = (): void => {
  registerBatchMatMul()
  registerLinear()
}
