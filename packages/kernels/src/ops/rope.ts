import { add, concat, defineOp, gather, mul, reshape, slice, sub, type Tensor } from '@graftjs/tensor'
import { GraftError } from '@graftjs/tensor/error'

type Attrs = { sign: 1 | -1 }
type Inputs = { x: Tensor; positions: Tensor; cos: Tensor; sin: Tensor }

const run: (inputs: Inputs, attrs: Attrs) => Tensor[] = defineOp<Inputs, Attrs>({
  name: 'GraftRope',
  composed: ({ x, positions, cos, sin }, { sign }) => {
    const [batch, length, heads, dim] = x.shape as [number, number, number, number]
    const half = dim / 2
    const at = (table: Tensor): Tensor =>
      reshape(gather(table, reshape(positions, [batch * length])), [batch, length, 1, half])
    const [c, s] = [at(cos), mul(at(sin), sign)]
    const a = slice(x, [0, 0, 0, 0], [batch, length, heads, half])
    const b = slice(x, [0, 0, 0, half], [batch, length, heads, half])
    return concat([sub(mul(a, c), mul(b, s)), add(mul(b, c), mul(a, s))], 3)
  },
  save: { inputs: ['positions', 'cos', 'sin'] },
  // A rotation's transpose turns back.
  gradient: ([dy], { positions, cos, sin }, { sign }) => ({
    x: () => run({ x: dy!, positions: positions!, cos: cos!, sin: sin! }, { sign: sign === 1 ? -1 : 1 })[0]!,
  }),
  reference: ({ x, positions, cos, sin }, { sign }) => {
    const [heads, dim] = x!.shape.slice(2) as [number, number]
    const half = dim / 2
    const data = new Float64Array(x!.data.length)
    for (let i = 0; i < data.length; i++) {
      const within = i % dim
      const p = positions!.data[Math.floor(i / (heads * dim))]! * half + (within % half)
      const other = within < half ? -x!.data[i + half]! : x!.data[i - half]!
      data[i] = x!.data[i]! * cos!.data[p]! + other * sign * sin!.data[p]!
    }
    return { data, shape: x!.shape }
  },
})

/** Rotary positions (Su et al. 2021), the halves of a head rotated as in transformers. x [B, T, H, D], positions int32 [B, T], cos and sin [P, D/2]. */
export const rope = (x: Tensor, positions: Tensor, cos: Tensor, sin: Tensor): Tensor => {
  if (x.shape[3]! % 2)
    throw new GraftError({
      code: 'bad-shape',
      culprit: 'rope',
      given: `heads of ${x.shape[3]} numbers`,
      expected: 'an even number',
    })
  return run({ x, positions, cos, sin }, { sign: 1 })[0]!
}
