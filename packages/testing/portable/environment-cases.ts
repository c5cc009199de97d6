import { simdInfo, useSimd } from '@graftjs/kernels'
import { isGraftError } from '@graftjs/tensor'
import { chooseVariant } from '../../kernels/src/simd/choose-variant.ts'
import { createPool, HEAP_START } from '../../kernels/src/simd/pool.ts'
import type { PortableCase, Target } from './protocol.ts'

const demand = (holds: boolean, message: string): void => {
  if (!holds) throw new Error(message)
}

/** That the environment is what the target says, and that `simd` makes of it what it should. */
export const environmentCases = (target: Target): PortableCase[] => {
  if (target.backend !== 'simd') return []
  const shared: PortableCase = {
    name: 'a second thread takes part in a dispatch',
    run: () => dispatchWithoutMain(target),
  }
  const alone: PortableCase = { name: 'a second thread is refused with what would allow it', run: refusesThreads }
  return [
    {
      name: `the page is ${target.isolated ? '' : 'not '}cross-origin isolated`,
      run: () => {
        const { crossOriginIsolated: isolated } = globalThis
        demand(isolated === target.isolated, `crossOriginIsolated is ${isolated}`)
        const shares = typeof SharedArrayBuffer !== 'undefined'
        demand(shares === target.isolated, `SharedArrayBuffer is ${shares ? '' : 'not '}there`)
      },
    },
    target.threads > 1 ? shared : alone,
    {
      name: 'the variant is found by a probe, the threads by what the page allows',
      run: async () => {
        const { variant, probe } = await chooseVariant('auto')
        demand(variant in probe && 'plain' in probe, `${variant} of ${Object.keys(probe)}`)
        const { threads } = await useSimd({ variant: target.variant })
        const wanted = target.isolated ? Math.min(8, navigator.hardwareConcurrency) : 1
        demand(threads === wanted, `${threads} threads, expected ${wanted}`)
      },
    },
    {
      name: `useSimd starts ${target.threads} thread${target.threads > 1 ? 's' : ''}, ${target.variant}`,
      run: async () => {
        await useSimd({ threads: target.threads, variant: target.variant })
        const { threads, variant } = simdInfo()!
        demand(threads === target.threads && variant === target.variant, `${threads} threads, ${variant}`)
      },
    },
  ]
}

const refusesThreads = async (): Promise<void> => {
  try {
    await useSimd({ threads: 2, variant: 'plain' })
  } catch (error) {
    const good = isGraftError(error) && error.culprit === 'threads' && /Cross-Origin-Opener/.test(error.message)
    demand(good, String(error))
    return
  }
  throw new Error('two threads started')
}

/** A dispatch in which this thread takes no part: its numbers are another thread's. (Addresses: assembly/control.ts.) */
const dispatchWithoutMain = async ({ threads, variant }: Target): Promise<void> => {
  const { module } = await chooseVariant(variant)
  const memory = new WebAssembly.Memory({ initial: 64, maximum: 65536, shared: true })
  const pool = await createPool(module, memory, threads, false)
  try {
    const words = new Int32Array(memory.buffer)
    const floats = new Float32Array(memory.buffer)
    const [next, tasks, generation, done, kernel] = [1024, 1088, 1152, 1216, 1280].map((a) => a / 4) as Five
    const [square, count] = [5, 3 * 16384]
    const [x, out] = [HEAP_START, HEAP_START + 4 * count + 64]
    for (let i = 0; i < count; i++) floats[x / 4 + i] = i
    new Float64Array(memory.buffer, 2048, 4).set([square, x, out, count])
    words[kernel] = 5 // unary
    words[tasks] = 3
    Atomics.store(words, next, 0)
    Atomics.store(words, done, 0)
    Atomics.add(words, generation, 1)
    Atomics.notify(words, generation)
    const until = performance.now() + 10_000
    while (Atomics.load(words, done) < threads - 1) {
      demand(performance.now() < until, `${Atomics.load(words, done)} of ${threads - 1} threads after 10 s`)
      await new Promise((resolve) => setTimeout(resolve, 1))
    }
    for (let i = 0; i < count; i++)
      demand(floats[out / 4 + i] === Math.fround(i * i), `${i}² is ${floats[out / 4 + i]} in the shared memory`)
    // And together with this one, many times over.
    for (let round = 0; round < 200; round++) pool.run('unary', 3, [square, x, out, count])
  } finally {
    pool.stop()
  }
}
type Five = [number, number, number, number, number]
