import { type CheckName, conformanceCases as casesOf, decoderBed, standIns } from '../src/index.ts'
import type { PortableCase, Target } from './protocol.ts'

/** One additive, one at attention, one around, one with a leaf of its own, one with choices and a tally. */
const METHODS = ['lora', 'prefix', 'serial-adapter', 'ladder', 'sparse-router']

/** A software adapter takes seconds for a step: what is about numbers, and nothing else. */
const ON_WEBGPU: readonly CheckName[] = ['backends']

/** Five stand-ins on the decoder: the whole suite on `simd`, its numbers on WebGPU. */
export const conformanceCases = ({ backend }: Target): PortableCase[] =>
  standIns
    .filter(([method]) => METHODS.includes(method.name))
    .flatMap(([method, promises]) =>
      casesOf(method, promises, { beds: [decoderBed], ...(backend === 'webgpu' && { only: ON_WEBGPU }) }),
    )
    .map(({ name, run }) => ({ name, run: async () => void (await run()) }))
