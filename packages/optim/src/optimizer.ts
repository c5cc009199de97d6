import type { Tensor } from '@graftjs/tensor'

/** A parameter as an optimiser sees it. */
export interface OptimParam {
  readonly path: string
  readonly shape: readonly number[]
  readonly value: Tensor
  /** Takes over `value`; the old tensor is freed. */
  set(value: Tensor): void
}

/** What the trainer tells at each update. */
export interface Hyper {
  /** The learning rate of this step, schedule included. */
  readonly lr: number
  /** Steps of the run, this one included. An optimiser that corrects for its start counts each parameter's own updates instead. */
  readonly step: number
  /** Multiplies the gradient: what clipping asks for. Default 1. */
  readonly gradScale?: number
  /** Multiplies the optimiser's weight decay. Default 1. */
  readonly weightDecayScale?: number
}

/** A named array, as a checkpoint holds it. */
export interface StateValue {
  readonly shape: readonly number[]
  readonly data: Float32Array
}
export type OptimizerState = ReadonlyMap<string, StateValue>

/**
 * An optimiser updates one parameter at a time, so that updates may run while the gradients come in, and so that one
 * optimiser can wrap another: it may hand its inner one a parameter of its own making.
 */
export interface Optimizer {
  readonly name: string
  /** Plain JSON. */
  readonly config: object
  /** Before any schedule. */
  readonly learningRate: number
  /** Changes `param`; `grad` stays the caller's. */
  update(param: OptimParam, grad: Tensor, hyper: Hyper): void
  /** Copies of all that it remembers, under `<parameter path>.<name>`. */
  state(): Promise<OptimizerState>
  /** Goes on from a saved state; what it remembered before is dropped. */
  load(state: OptimizerState): void
  /** Frees what it remembers. */
  dispose(): void
}
