import '@tensorflow/tfjs-backend-cpu'
import { GraftError } from '@graftjs/tensor/error'
import { registerGradients } from '@graftjs/tensor/register'
import { copyRegisteredKernels, registerBackend, removeBackend, setBackend } from '@tensorflow/tfjs-core'
import { platform } from '#platform'
import { createAllocator } from './allocator.ts'
import { SimdBackend } from './backend.ts'
import { type Choice, chooseVariant, tileRows, type Variant } from './choose-variant.ts'
import { createPool, HEAP_START, type Pool } from './pool.ts'
import { registerFastKernels } from './register-fast-kernels.ts'

export interface SimdOptions {
  /** Threads, this one counted. Default: GRAFT_THREADS, else as many as the machine runs at once, at most 8; 1 in a page that is not cross-origin isolated. */
  readonly threads?: number
  /** Default: GRAFT_KERNEL, else `'auto'`, which probes. */
  readonly variant?: Variant | 'auto'
}

export interface SimdInfo extends Choice {
  readonly threads: number
  /** Bytes held in the shared memory now. */
  readonly memoryBytes: number
  /** The most that was held at once. */
  readonly peakBytes: number
}

let current: { pool: Pool; backend: SimdBackend; choice: Choice } | undefined

/** Starts the `simd` backend and makes it tfjs's current one. Calling it again with other options starts it afresh: tensors of before are gone. */
export const useSimd = async ({ threads: asked, variant = wanted() }: SimdOptions = {}): Promise<SimdInfo> => {
  const threads = asked ?? (await defaultThreads())
  if (!Number.isInteger(threads) || threads < 1)
    throw new GraftError({
      code: 'bad-option',
      culprit: 'threads',
      given: String(threads),
      expected: 'a whole number ≥ 1',
    })
  if (threads > 1 && !platform.sharesMemory())
    throw new GraftError({
      code: 'unsupported',
      culprit: 'threads',
      given: `${threads} in a page that is not cross-origin isolated`,
      expected:
        '1, or a page served with Cross-Origin-Opener-Policy: same-origin and Cross-Origin-Embedder-Policy: require-corp',
    })
  const choice = await chooseVariant(variant)
  const same = current && current.pool.threads === threads && current.choice.variant === choice.variant
  if (!same) {
    if (current) {
      current.pool.stop()
      removeBackend('simd')
      current = undefined
    }
    const memory = new WebAssembly.Memory({ initial: 64, maximum: 65536, shared: true })
    const pool = await createPool(choice.module, memory, threads, choice.variant === 'wide')
    const allocator = createAllocator(HEAP_START, 64 * 65536, (pages) => grow(memory, pages))
    const backend = new SimdBackend(pool, allocator, await tileRows(choice.module))
    current = { pool, backend, choice }
    if (!registered) {
      copyRegisteredKernels('cpu', 'simd')
      registerFastKernels()
      registered = true
    }
    registerBackend('simd', () => backend, 4)
  }
  await registerGradients()
  await setBackend('simd')
  return simdInfo()!
}
let registered = false

/** What runs, and what it holds; undefined before `useSimd`. */
export const simdInfo = (): SimdInfo | undefined => {
  if (!current) return undefined
  const { pool, backend, choice } = current
  return { ...choice, threads: pool.threads, memoryBytes: backend.allocator.used, peakBytes: backend.allocator.peak }
}

const grow = (memory: WebAssembly.Memory, pages: number): void => {
  try {
    memory.grow(pages)
  } catch (cause) {
    throw new GraftError({
      code: 'out-of-memory',
      culprit: 'simd memory',
      given: `${pages} more pages of 64 KiB`,
      expected: 'a machine that has them: a smaller batch or a shorter length would do',
      cause,
    })
  }
}

const environment = (name: string): string | undefined =>
  (globalThis as { process?: { env: Record<string, string | undefined> } }).process?.env[name]

const wanted = (): Variant | 'auto' => (environment('GRAFT_KERNEL') ?? 'auto') as Variant | 'auto'

const defaultThreads = async (): Promise<number> => {
  const given = environment('GRAFT_THREADS')
  // Checked where all threads are.
  if (given !== undefined) return Number(given)
  return platform.sharesMemory() ? Math.max(1, Math.min(8, await platform.cores())) : 1
}
