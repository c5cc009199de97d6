import { registerAttention } from './attention.ts'
import { registerBatchMatMul } from './batch-mat-mul.ts'
import { registerColumns } from './columns.ts'
import { registerCrossEntropy } from './cross-entropy.ts'
import { registerElementwise } from './elementwise.ts'
import { registerGelu } from './gelu.ts'
import { registerLayerNorm } from './layer-norm.ts'
import { registerLinear } from './linear.ts'
import { registerRows } from './rows.ts'

/** Puts the fast versions in place of the stock ones on `simd`, once. */
export const registerFastKernels = (): void => {
  registerBatchMatMul()
  registerLinear()
  registerElementwise()
  registerRows()
  registerLayerNorm()
  registerGelu()
  registerColumns()
  registerAttention()
  registerCrossEntropy()
}
