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

/** What Node and a browser do differently. package.json's `imports` picks one of them as `#platform`. */
export interface Platform {
  /** Whether memory may be shared with another thread: false in a page that is not cross-origin isolated. */
  sharesMemory(): boolean
  /** So many threads run at once here. */
  cores(): Promise<number>
  /** Lets V8 pair 128-bit operations into AVX2 ones; false where it cannot be asked to, and the wide tile is not worth trying. */
  revectorize(): Promise<boolean>
  /** Starts a worker thread and resolves when it is ready for the first dispatch. */
  startWorker(start: WorkerStart): Promise<WorkerHandle>
}
