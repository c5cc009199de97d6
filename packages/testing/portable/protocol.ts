/** Where the cases run. */
export interface Target {
  readonly backend: 'simd' | 'webgpu'
  /** Threads of `simd`, the calling one counted. */
  readonly threads: number
  /** Whether the page is cross-origin isolated; undefined in Node. */
  readonly isolated?: boolean
  /** Kernel variant of `simd`: tests pin it, never leave it to timing. */
  readonly variant: 'plain' | 'relaxed' | 'wide'
}

/** One test, in any environment: no Node, no test runner, no synchronous read of a tensor (a GPU's cannot be had). It throws if it fails. */
export interface PortableCase {
  readonly name: string
  run(): Promise<void> | void
}

/** What the environment tells the test process. */
export type Message =
  /** A case begins: where the environment hangs, this one is named. */
  | { readonly type: 'begin'; readonly name: string }
  | { readonly type: 'result'; readonly name: string; readonly error?: string }
  | { readonly type: 'end' }
  /** There is no such device here (no WebGPU adapter). */
  | { readonly type: 'unavailable'; readonly reason: string }
  /** The environment itself has failed. */
  | { readonly type: 'fatal'; readonly error: string }

export const textOf = (error: unknown): string =>
  error instanceof Error ? (error.stack ?? error.message) : String((error as { message?: string })?.message ?? error)

/** As vitest.config.ts has pinned it. */
export const variant = (): Target['variant'] => (process.env.GRAFT_KERNEL ?? 'relaxed') as Target['variant']
