/** What a worker is told at its start. Addresses are those of the pool's control block. */
export interface WorkerStart {
  readonly module: WebAssembly.Module
  readonly memory: WebAssembly.Memory
  readonly thread: number
  readonly revectorize: boolean
  readonly error: number
  readonly errorLength: number
  readonly errorBytes: number
  readonly done: number
}

export interface WorkerHandle {
  stop(): void
}

/**
 * A worker's whole program, as text: it runs from any bundle, and nothing has to find a file. A trap is written where the
 * main thread reads it after the dispatch; the worker then serves on.
 */
const program = `
const { workerData: start, parentPort } = require('node:worker_threads')
if (start.revectorize) require('node:v8').setFlagsFromString('--experimental-wasm-revectorize')
const words = new Int32Array(start.memory.buffer, 0, 512)
const instance = new WebAssembly.Instance(start.module, { env: { memory: start.memory, abort: () => {} } })
let seen = Atomics.load(words, 1152 >> 2)
parentPort.postMessage('ready')
for (;;) {
  try {
    instance.exports.serve(start.thread, seen)
    break
  } catch (error) {
    const text = new TextEncoder().encode(String(error && error.message || error)).slice(0, start.errorBytes)
    new Uint8Array(start.memory.buffer).set(text, start.error)
    Atomics.store(words, start.errorLength >> 2, text.length)
    seen = Atomics.load(words, 1152 >> 2)
    Atomics.add(words, start.done >> 2, 1)
  }
}
`

/** Starts a worker thread of Node and resolves when it is ready for the first dispatch. */
export const startWorker = async (start: WorkerStart): Promise<WorkerHandle> => {
  const { Worker } = await import('node:worker_threads')
  const worker = new Worker(program, { eval: true, workerData: start, execArgv: [] })
  await new Promise<void>((resolve, reject) => {
    worker.once('message', () => resolve())
    worker.once('error', reject)
  })
  // A waiting worker must not keep the process alive.
  worker.unref()
  return { stop: () => void worker.terminate() }
}
