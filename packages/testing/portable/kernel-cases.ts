import { memory } from '@graftjs/tensor'
import { type OpCase, opCases } from '../../kernels/test/op-cases.ts'
import { parityFaults } from '../../kernels/test/parity.ts'
import type { PortableCase, Target } from './protocol.ts'

/** The kernel table against its float64 references: the fast kernels on `simd`, the composed fallbacks elsewhere. */
export const kernelCases = ({ backend }: Target): PortableCase[] =>
  (backend === 'simd' ? opCases : opCases.filter(tellsOfFallback)).map((c) => ({
    name: `${c.op} ${c.name}`,
    run: () => check(c, backend),
  }))

/** Fallbacks unpack a weight on the host and have no tiles: a case a format will do, and none that is large for a tile's sake. */
const tellsOfFallback = (c: OpCase, at: number, all: readonly OpCase[]): boolean => {
  const { q, k } = c.inputs
  if (q && k && q.shape[1]! * k.shape[1]! > 5000) return false
  const { format } = c.weight ?? { format: 'f32' }
  return format === 'f32' || all.findIndex((d) => d.op === c.op && d.weight?.format === format) === at
}

const check = async (c: OpCase, backend: string): Promise<void> => {
  const before = memory().tensors
  const faults = await parityFaults(c, backend, { output: 1e-5, gradient: backend === 'simd' ? 3e-6 : 1e-5 })
  const left = memory().tensors - before
  if (left !== 0) faults.push(`${left} tensors are left behind`)
  if (faults.length) throw new Error(faults.join('\n'))
}
