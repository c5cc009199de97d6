// One rounding where the machine has a fused multiply-add, two where it has none: results differ by machine in the last bit.
// @ts-ignore: decorator
@inline export function madd(a: v128, b: v128, c: v128): v128 {
  return f32x4.relaxed_madd(a, b, c)
}
