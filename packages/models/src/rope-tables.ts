import { dispose, keep, type Tensor, tensor } from '@graftjs/tensor'
import { tooLong } from './begin-frame.ts'
import { type RopeFrequencies, type RopeScaling, ropeFrequencies } from './rope-frequencies.ts'

export interface RopeTables {
  /** cos and sin of position × inverse frequency, each [P, D/2] with P ≥ `span`. */
  upTo(span: number): { cos: Tensor; sin: Tensor }
  dispose(): void
}

/** Rotary tables (Su et al. 2021), grown as far as the longest sequence seen so far. */
export const ropeTables = (headDim: number, theta: number, max: number, scaling?: RopeScaling): RopeTables => {
  const frequencies = ropeFrequencies(headDim, theta, scaling)
  let held: { cos: Tensor; sin: Tensor; span: number } | undefined
  const free = (): void => {
    if (held) dispose([held.cos, held.sin])
    held = undefined
  }
  return {
    upTo: (span) => {
      if (held && held.span >= span) return held
      if (span > max) throw tooLong(span, max)
      const size = Math.min(max, Math.max(span, 2 * (held?.span ?? 256)))
      free()
      held = { ...makeTables(frequencies, size), span: size }
      return held
    },
    dispose: free,
  }
}

const makeTables = ({ inverse, amplitude }: RopeFrequencies, span: number): { cos: Tensor; sin: Tensor } => {
  const half = inverse.length
  // transformers computes the angles in float32; so do we, to agree at high positions.
  const angle = (f: (x: number) => number): Float32Array =>
    Float32Array.from(
      { length: span * half },
      (_, at) => f(Math.fround(Math.floor(at / half) * inverse[at % half]!)) * amplitude,
    )
  return { cos: keep(tensor(angle(Math.cos), [span, half])), sin: keep(tensor(angle(Math.sin), [span, half])) }
}
