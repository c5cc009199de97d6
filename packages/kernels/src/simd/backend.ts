import { MathBackendCPU } from '@tensorflow/tfjs-backend-cpu'
import type { backend_util, DataType, TensorInfo } from '@tensorflow/tfjs-core'
import type { Allocator } from './allocator.ts'
import type { KernelName } from './kernel-ids.ts'
import type { Pool } from './pool.ts'

type Values = backend_util.BackendValues
type NumberArray = Float32Array | Int32Array | Uint8Array
interface Entry {
  values?: Values
  dtype: DataType
  refCount: number
  /**
   * Where it lies, once it lies in the shared memory. By type: a cast that loses nothing shares its input's entry, so a
   * float32 tensor may hold int32 or bool numbers.
   */
  addresses?: Partial<Record<DataType, number>>
}

/** Bytes from which an array is worth copying into the shared memory before anybody asks. */
const LARGE = 2 ** 20

/**
 * A tfjs backend over one shared WebAssembly memory. Every stock cpu kernel works unchanged on views of that memory; fast
 * kernels get addresses into it. What a stock kernel makes is a plain array until a fast kernel wants its address.
 */
export class SimdBackend extends MathBackendCPU {
  readonly pool: Pool
  readonly allocator: Allocator
  /** Rows of the product kernel's tile. */
  readonly tile: number
  private scratch: { bytes: number; address?: number } = { bytes: 0 }
  /** What the running fast kernel has made so far. */
  private made: object[] = []

  constructor(pool: Pool, allocator: Allocator, tile: number) {
    super()
    this.pool = pool
    this.allocator = allocator
    this.tile = tile
    // tfjs would print its advice to install tfjs-node.
    ;(this as unknown as { firstUse: boolean }).firstUse = false
  }

  private entry(dataId: object): Entry {
    return this.data.get(dataId) as Entry
  }

  private view(address: number, size: number, dtype: DataType): NumberArray {
    const { buffer } = this.pool.memory
    if (dtype === 'int32') return new Int32Array(buffer, address, size)
    return dtype === 'bool' ? new Uint8Array(buffer, address, size) : new Float32Array(buffer, address, size)
  }

  override write(values: Values, shape: number[], dtype: DataType): object {
    const dataId = super.write(values, shape, dtype)
    if (!ArrayBuffer.isView(values)) return dataId
    if (values.byteLength >= LARGE) this.takeOver(dataId, shape, dtype)
    // A stock kernel may hand on a window of its input (slice does); freeing the input would overwrite it.
    else if (isShared(values.buffer)) this.entry(dataId).values = (values as NumberArray).slice()
    return dataId
  }

  /** Copies at once what is large (weights): the caller's array can go, and there are never two for long. */
  private takeOver(dataId: object, shape: number[], dtype: DataType): void {
    try {
      this.addressOf({ dataId, shape, dtype })
    } catch (error) {
      super.disposeData(dataId, true)
      throw error
    }
  }

  override move(dataId: object, values: Values, shape: number[], dtype: DataType, refCount: number): void {
    const own = ArrayBuffer.isView(values) && isShared(values.buffer) ? (values as NumberArray).slice() : values
    super.move(dataId, own, shape, dtype, refCount)
  }

  /** Runs a fast kernel. If it fails (memory may run out half-way), the tensors it has made are freed. */
  whole<T>(kernel: () => T): T {
    this.made = []
    try {
      return kernel()
    } catch (error) {
      for (const dataId of this.made) this.disposeData(dataId, true)
      throw error
    }
  }

  /** A new tensor in the shared memory, its contents undefined. */
  output(shape: readonly number[], dtype: 'float32' | 'int32' = 'float32'): TensorInfo & { address: number } {
    const size = shape.reduce((a, b) => a * b, 1)
    const address = this.allocator.allocate(size * 4)
    const dataId = super.write(this.view(address, size, dtype), [...shape], dtype)
    this.entry(dataId).addresses = { [dtype]: address }
    this.made.push(dataId)
    return { dataId, shape: [...shape], dtype, address }
  }

  /** The address of a tensor's numbers; a plain array is copied in, once. */
  addressOf(t: TensorInfo): number {
    const entry = this.entry(t.dataId)
    const held = entry.addresses?.[t.dtype]
    if (held !== undefined) return held
    const values = entry.values as NumberArray
    const address = this.allocator.allocate(values.length * (t.dtype === 'bool' ? 1 : 4))
    const inside = this.view(address, values.length, t.dtype)
    inside.set(values)
    if (t.dtype === entry.dtype) entry.values = inside
    entry.addresses = { ...entry.addresses, [t.dtype]: address }
    return address
  }

  /** The numbers of a tensor as they lie: valid until it is freed. */
  valuesOf(t: TensorInfo): NumberArray {
    return this.entry(t.dataId).values as NumberArray
  }

  /** Each thread's private scratch holds at least so many bytes from here on. */
  reserveScratch(bytes: number): void {
    if (bytes <= this.scratch.bytes) return
    if (this.scratch.address !== undefined) this.allocator.free(this.scratch.address)
    this.scratch = { bytes: 0 }
    // One block for all, so that there is nothing to undo where memory runs out; 64 bytes apart, as kernels read past the end.
    const each = Math.ceil(bytes / 64) * 64 + 64
    const address = this.allocator.allocate(each * this.pool.threads)
    this.scratch = { bytes, address }
    this.pool.setScratch(Array.from({ length: this.pool.threads }, (_, i) => address + i * each))
  }

  /** Lends `bytes` of shared memory to `use` for one kernel. */
  lend<T>(bytes: number, use: (address: number) => T): T {
    const address = this.allocator.allocate(bytes)
    try {
      return use(address)
    } finally {
      this.allocator.free(address)
    }
  }

  run(kernel: KernelName, tasks: number, args: readonly number[]): void {
    this.pool.run(kernel, tasks, args)
  }

  override readSync(dataId: object): Values {
    const values = super.readSync(dataId)
    return this.entry(dataId).addresses ? (values as NumberArray).slice() : values
  }

  override disposeData(dataId: object, force = false): boolean {
    const { addresses = {} } = this.data.has(dataId) ? this.entry(dataId) : {}
    const gone = super.disposeData(dataId, force)
    if (gone) for (const address of Object.values(addresses)) this.allocator.free(address)
    return gone
  }
}

/** By its tag: a page that is not cross-origin isolated has no SharedArrayBuffer to compare with, but has shared memories. */
const isShared = (buffer: ArrayBufferLike): boolean =>
  Object.prototype.toString.call(buffer) === '[object SharedArrayBuffer]'
