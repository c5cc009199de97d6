import { GraftError } from '@graftjs/tensor/error'
import { platform } from '#platform'

export type Variant = 'plain' | 'relaxed' | 'wide'

export interface Choice {
  readonly variant: Variant
  readonly module: WebAssembly.Module
  /** What the probe found, one entry a variant that runs here: milliseconds of the same small product. */
  readonly probe: Readonly<Partial<Record<Variant, number>>>
}

const load = async (variant: Variant): Promise<Uint8Array<ArrayBuffer>> => {
  const { bytes } = await (variant === 'plain'
    ? import('./wasm/plain.ts')
    : variant === 'relaxed'
      ? import('./wasm/relaxed.ts')
      : import('./wasm/wide.ts'))
  return Uint8Array.from(atob(bytes), (c) => c.charCodeAt(0))
}

/** The variant asked for, or with `'auto'` the fastest one that gives right numbers here. */
export const chooseVariant = async (wanted: Variant | 'auto'): Promise<Choice> => {
  if (!['auto', 'plain', 'relaxed', 'wide'].includes(wanted))
    throw new GraftError({
      code: 'bad-option',
      culprit: 'GRAFT_KERNEL',
      given: wanted,
      expected: 'auto, plain, relaxed or wide',
    })
  if (wanted !== 'auto') {
    if (wanted === 'wide') await platform.revectorize()
    const bytes = await load(wanted)
    if (!WebAssembly.validate(bytes))
      throw new GraftError({
        code: 'unsupported',
        culprit: `kernel variant ${wanted}`,
        given: 'an engine without relaxed SIMD',
        expected: 'GRAFT_KERNEL=plain',
      })
    return { variant: wanted, module: await WebAssembly.compile(bytes), probe: {} }
  }
  const hasFlag = await platform.revectorize()
  const probe: Partial<Record<Variant, number>> = {}
  const modules: Partial<Record<Variant, WebAssembly.Module>> = {}
  for (const variant of ['plain', 'relaxed', ...(hasFlag ? (['wide'] as const) : [])] as Variant[]) {
    const bytes = await load(variant)
    if (!WebAssembly.validate(bytes)) continue
    const module = await WebAssembly.compile(bytes)
    const time = await trial(module)
    if (time === undefined) continue
    probe[variant] = time
    modules[variant] = module
  }
  const variant = (Object.keys(probe) as Variant[]).reduce((best, v) => (probe[v]! < probe[best]! * 0.95 ? v : best))
  return { variant, module: modules[variant]!, probe }
}

const PROBE_MS = 30

/** Milliseconds of a 96 × 96 × 256 product on one thread, or undefined if its numbers are wrong. */
const trial = async (module: WebAssembly.Module): Promise<number | undefined> => {
  const [m, n, k] = [96, 64, 256]
  const memory = new WebAssembly.Memory({ initial: 64, maximum: 65536, shared: true })
  const { work } = (await WebAssembly.instantiate(module, { env: { memory, abort: () => {} } })).exports as {
    work(thread: number): void
  }
  const words = new Int32Array(memory.buffer)
  const floats = new Float32Array(memory.buffer)
  const args = new Float64Array(memory.buffer, 2048, 128)
  const [a, b, c, packed, scratch] = [131072, 262144, 393216, 524288, 1048576]
  for (let i = 0; i < m * k; i++) floats[a / 4 + i] = ((i * 7) % 11) - 5
  for (let i = 0; i < n * k; i++) floats[b / 4 + i] = ((i * 5) % 13) - 6
  words[1344 / 4] = scratch
  const panels = Math.ceil(m / 4)
  const dispatch = (kernel: number, tasks: number): void => {
    words[1280 / 4] = kernel
    words[1088 / 4] = tasks
    words[1024 / 4] = 0
    work(0)
  }
  const tile = await tileRows(module)
  args.set([
    m,
    n,
    c,
    n,
    0,
    0,
    0,
    packed,
    k,
    1,
    1,
    1,
    Math.ceil(m / tile),
    Math.ceil(m / tile),
    panels,
    1,
    a,
    k,
    1,
    k,
    b,
    0,
    1,
    k,
    0,
    0,
    1,
  ])
  const times: number[] = []
  // A new kernel is slow until V8 has compiled it a second time, in the background: turns are taken until that has shown.
  const until = performance.now() + PROBE_MS
  while (times.length < 12 || performance.now() < until) {
    if (times.length % 8 === 7) await new Promise((resolve) => setTimeout(resolve, 1))
    const from = performance.now()
    dispatch(1, 1)
    for (let again = 0; again < 4; again++) dispatch(2, 1)
    times.push(performance.now() - from)
  }
  for (const [i, j] of [
    [0, 0],
    [m - 1, n - 1],
    [41, 13],
  ] as const) {
    let sum = 0
    for (let x = 0; x < k; x++) sum += floats[a / 4 + i * k + x]! * floats[b / 4 + j * k + x]!
    if (Math.abs(floats[c / 4 + i * n + j]! - sum) > 1e-3 * (1 + Math.abs(sum))) return undefined
  }
  return Math.min(...times)
}

/** Rows of the variant's tile: exported by the module, so that no table here can go stale. */
export const tileRows = async (module: WebAssembly.Module): Promise<number> => {
  const memory = new WebAssembly.Memory({ initial: 16, maximum: 65536, shared: true })
  const { tileRows: rows } = (await WebAssembly.instantiate(module, { env: { memory, abort: () => {} } })).exports as {
    tileRows(): number
  }
  return rows()
}
