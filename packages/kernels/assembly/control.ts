// The control block in low memory, shared by every thread. JavaScript's side of it is src/simd/pool.ts.
export const NEXT: usize = 1024 // the next task to take
export const TASKS: usize = 1088
export const GENERATION: usize = 1152 // bumped once a dispatch
export const DONE: usize = 1216 // workers that are through
export const KERNEL: usize = 1280
export const STOP: usize = 1284
export const SCRATCH: usize = 1344 // a pointer a thread
export const ARGS: usize = 2048 // float64 each

// @ts-ignore: decorator
@inline export function argI(i: i32): i32 {
  return i32(load<f64>(ARGS + (<usize>i << 3)))
}
// @ts-ignore: decorator
@inline export function argP(i: i32): usize {
  return usize(load<f64>(ARGS + (<usize>i << 3)))
}
// @ts-ignore: decorator
@inline export function argF(i: i32): f32 {
  return f32(load<f64>(ARGS + (<usize>i << 3)))
}
// @ts-ignore: decorator
@inline export function scratchOf(thread: i32): usize {
  return load<u32>(SCRATCH + (<usize>thread << 2))
}
