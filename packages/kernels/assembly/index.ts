import { DONE, GENERATION, KERNEL, NEXT, STOP, TASKS } from './control'
import { attention, attentionBack } from './attention'
import { crossEntropy, crossEntropyMerge } from './cross-entropy'
import { adamw, binary, binaryRows, binaryScalar, dropout, unary } from './elementwise'
import { gelu, geluBack } from './gelu'
import { layerNorm, layerNormBack } from './layer-norm'
import { MR } from './micro'
import { reduceRows, rmsNorm, rmsNormBack, rope, softmax, sumColumns, swiglu, swigluBack } from './rows'
import { gatherRows, gemm, gemv, packA } from './gemm'

/** For the test that a throwing worker surfaces. */
function trap(task: i32): void {
  if (task == 3) unreachable()
}

// The order is that of src/simd/kernel-ids.ts.
function runTask(kernel: i32, task: i32, thread: i32): void {
  switch (kernel) {
    case 0: trap(task); break
    case 1: packA(task); break
    case 2: gemm(task, thread); break
    case 3: gemv(task, thread); break
    case 4: gatherRows(task); break
    case 5: unary(task); break
    case 6: binary(task); break
    case 7: binaryScalar(task); break
    case 8: binaryRows(task); break
    case 9: adamw(task); break
    case 10: dropout(task); break
    case 11: rmsNorm(task); break
    case 12: rmsNormBack(task); break
    case 13: rope(task); break
    case 14: swiglu(task); break
    case 15: swigluBack(task); break
    case 16: reduceRows(task); break
    case 17: sumColumns(task); break
    case 18: softmax(task); break
    case 19: attention(task, thread); break
    case 20: attentionBack(task, thread); break
    case 21: crossEntropy(task, thread); break
    case 22: crossEntropyMerge(task, thread); break
    case 23: layerNorm(task); break
    case 24: layerNormBack(task); break
    case 25: gelu(task); break
    case 26: geluBack(task); break
    default: unreachable()
  }
}

/** Takes tasks until none is left. Every thread of a dispatch runs this. */
export function work(thread: i32): void {
  const kernel = load<i32>(KERNEL)
  const tasks = load<i32>(TASKS)
  while (true) {
    const task = atomic.add<i32>(NEXT, 1)
    if (task >= tasks) return
    runTask(kernel, task, thread)
  }
}

/** A worker's life: spin a while for the next dispatch, then sleep until one comes. Returns when told to stop. */
export function serve(thread: i32, seen: i32): void {
  while (true) {
    let spins: i32 = 0
    while (atomic.load<i32>(GENERATION) == seen) {
      if (++spins > 60000) atomic.wait<i32>(GENERATION, seen, -1)
    }
    seen = atomic.load<i32>(GENERATION)
    if (load<i32>(STOP)) return
    work(thread)
    atomic.add<i32>(DONE, 1)
  }
}

/** Rows of this variant's tile. */
export function tileRows(): i32 {
  return MR
}
