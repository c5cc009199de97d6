import { GraftError } from '@graftjs/tensor/error'
import { platform } from '#platform'
import type { WorkerHandle, WorkerStart } from '../platform/platform.ts'
import { type KernelName, kernelIds } from './kernel-ids.ts'

// Addresses of the control block: assembly/control.ts.
const [NEXT, TASKS, GENERATION, DONE, KERNEL, STOP, SCRATCH, ARGS] = [1024, 1088, 1152, 1216, 1280, 1284, 1344, 2048]
const [ERROR, ERROR_LENGTH] = [1536, 1532]
const ERROR_BYTES = 256
/** The first address past the control block; the modules hold no static data. */
export const HEAP_START = 131072

interface Exports {
  work(thread: number): void
}

/** The threads that run kernels over one memory. The caller's thread is thread 0 and takes its part. */
export interface Pool {
  readonly memory: WebAssembly.Memory
  readonly threads: number
  /** Runs tasks 0 … `tasks` - 1 of a kernel on all threads and returns when all are done. A kernel that traps throws here. */
  run(kernel: KernelName, tasks: number, args: readonly number[]): void
  /** Sets the address of each thread's private scratch. */
  setScratch(addresses: readonly number[]): void
  stop(): void
}

export const createPool = async (
  module: WebAssembly.Module,
  memory: WebAssembly.Memory,
  threads: number,
  revectorize: boolean,
): Promise<Pool> => {
  const main = (await WebAssembly.instantiate(module, { env: { memory, abort: () => {} } }))
    .exports as unknown as Exports
  const words = new Int32Array(memory.buffer, 0, 512)
  const args = new Float64Array(memory.buffer, ARGS, 128)
  const workers = await startAll(
    Array.from({ length: threads - 1 }, (_, i) => ({
      module,
      memory,
      thread: i + 1,
      revectorize,
      error: ERROR,
      errorLength: ERROR_LENGTH,
      errorBytes: ERROR_BYTES,
      done: DONE,
    })),
  )
  const at = (address: number): number => address >> 2

  const takeError = (): string | undefined => {
    const length = Atomics.exchange(words, at(ERROR_LENGTH), 0)
    if (length === 0) return undefined
    return new TextDecoder().decode(new Uint8Array(memory.buffer).slice(ERROR, ERROR + length))
  }

  const wake = (): void => {
    Atomics.add(words, at(GENERATION), 1)
    Atomics.notify(words, at(GENERATION))
  }

  return {
    memory,
    threads,
    run: (kernel, tasks, given) => {
      if (tasks <= 0) return
      args.set(given)
      words[at(KERNEL)] = kernelIds[kernel]
      words[at(TASKS)] = tasks
      Atomics.store(words, at(NEXT), 0)
      Atomics.store(words, at(DONE), 0)
      const shared = threads > 1 && tasks > 1
      if (shared) wake()
      let trap: unknown
      try {
        main.work(0)
      } catch (error) {
        trap = error
        // Nobody starts another task; those under way are waited for.
        Atomics.store(words, at(NEXT), tasks)
      }
      if (shared) while (Atomics.load(words, at(DONE)) < threads - 1);
      // Taken in any case: a worker's error must not surface in a later run.
      const theirs = takeError()
      const text = trap ? String((trap as Error).message ?? trap) : theirs
      if (text !== undefined)
        throw new GraftError({
          code: 'kernel-failed',
          culprit: `kernel ${kernel}`,
          message: `kernel ${kernel}: ${text}`,
          cause: trap,
        })
    },
    setScratch: (addresses) => addresses.forEach((address, i) => Atomics.store(words, at(SCRATCH) + i, address | 0)),
    stop: () => {
      words[at(STOP)] = 1
      wake()
      for (const worker of workers) worker.stop()
    },
  }
}

/** All, or none: those that did start are stopped. */
const startAll = async (starts: readonly WorkerStart[]): Promise<WorkerHandle[]> => {
  const settled = await Promise.allSettled(starts.map((start) => platform.startWorker(start)))
  const workers = settled.flatMap((s) => (s.status === 'fulfilled' ? [s.value] : []))
  const failed = settled.find((s) => s.status === 'rejected')
  if (!failed) return workers
  for (const worker of workers) worker.stop()
  throw failed.reason
}
