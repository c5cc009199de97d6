/** The numbers by which `assembly/index.ts` knows its task functions. */
export const kernelIds = {
  trap: 0,
  packA: 1,
  gemm: 2,
  gemv: 3,
  gatherRows: 4,
} as const
export type KernelName = keyof typeof kernelIds
