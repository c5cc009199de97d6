import { addN, definedOps, dispose, mul, type RefArray, random, scope, sum, type Tensor } from '@graftjs/tensor'
import * as tf from '@tensorflow/tfjs-core'
import { storedWeight } from '../src/index.ts'
import type { OpCase } from './op-cases.ts'
import { distance, floats, make, randomWeight, type Spec } from './support.ts'

export interface Result {
  readonly outputs: ArrayLike<number>[]
  readonly gradients: Record<string, ArrayLike<number>>
  /** The weight's numbers as its tensor holds them. */
  readonly w: RefArray | undefined
}

/** Weights of Σ dy · output, the loss whose gradients are compared. */
const cotangent = (size: number, output: number): Spec => floats([size], output ? `dy${output}` : 'dy')

/** Reads to the end what `f` makes, which may lie on a GPU, and frees it. */
const numbersOf = async (f: () => Tensor[]): Promise<ArrayLike<number>[]> => {
  const made = scope(f)
  const numbers = await Promise.all(made.map((t) => t.data()))
  dispose(made)
  return numbers
}

/** The outputs and gradients of a case on a backend. */
export const onBackend = async (c: OpCase, backend: string): Promise<Result> => {
  await tf.setBackend(backend)
  const given = (): Record<string, Tensor> =>
    Object.fromEntries(Object.entries(c.inputs).map(([key, spec]) => [key, make(spec)]))
  const w =
    c.weight && storedWeight('w', c.weight.format, randomWeight(c.weight.format, ...c.weight.shape), c.weight.shape)
  const held = w && { data: Float64Array.from(await w.data.data()), shape: w.data.shape }
  const outputs = await numbersOf(() => [c.run(given(), w!)].flat())
  const gradients = await numbersOf(() => {
    if (!c.wrt.length) return []
    const t = given()
    const loss = (): tf.Tensor => {
      const ys = [c.run(t, w!)].flat()
      return addN(ys.map((y, i) => sum(mul(y, make({ ...cotangent(y.size, i), shape: y.shape })))))
    }
    return tf.engine().gradients(
      loss,
      c.wrt.map((key) => t[key]!),
    ).grads
  })
  w?.dispose()
  return { outputs, gradients: Object.fromEntries(c.wrt.map((key, i) => [key, gradients[i]!])), w: held }
}

/** Relative error of an output against the reference, and of a whole gradient against the cpu backend's. */
export interface Limits {
  readonly output: number
  readonly gradient: number
}

/**
 * One line a fault: outputs of `backend` and of cpu against the float64 reference, its gradients against cpu's whole ones and
 * against the reference's slope in a few places.
 */
export const parityFaults = async (
  c: OpCase,
  backend: string,
  { output, gradient: limit }: Limits = { output: 1e-5, gradient: 3e-6 },
): Promise<string[]> => {
  const [here, cpu] = [await onBackend(c, backend), await onBackend(c, 'cpu')]
  const inputs: Record<string, RefArray> = Object.fromEntries(
    Object.entries(c.inputs).map(([key, { data, shape }]) => [key, { data: Float64Array.from(data), shape }]),
  )
  if (cpu.w) inputs.w = cpu.w
  const reference = (): RefArray[] => [definedOps().get(c.op)!.reference!(inputs, c.attrs)].flat()
  const faults: string[] = []
  // Written so that a number that is none is a fault.
  const demand = (what: string, value: number, most: number): void => {
    if (!(value < most)) faults.push(`${what}: ${value}, expected less than ${most}`)
  }

  const wanted = reference()
  for (const [name, result] of [[backend, here] as const, ['cpu', cpu] as const])
    for (const [i, got] of result.outputs.entries())
      demand(`${name}'s output ${i} against the reference`, distance(got, wanted[i]!.data), output)

  // A reference may give more than the op hands out.
  const dys = here.outputs.map((_, i) => cotangent(wanted[i]!.data.length, i).data)
  const loss = (): number => {
    const outputs = reference()
    return dys.reduce((total, dy, n) => outputs[n]!.data.reduce((s, y, i) => s + y * dy[i]!, total), 0)
  }
  for (const key of c.wrt) {
    const gradient = here.gradients[key]!
    demand(`${backend}'s gradient of ${key} against cpu's`, distance(gradient, cpu.gradients[key]!), limit)
    const most = Array.from(gradient).reduce((m, g) => Math.max(m, Math.abs(g)), 0)
    const { data } = inputs[key]!
    const pick = random(5, `${c.op} ${c.name} ${key}`)
    for (let n = 0; n < 3; n++) {
      const at = pick.int(data.length)
      const x = data[at]!
      const shifted = [x + 1e-4, x - 1e-4].map((v) => {
        data[at] = v
        return loss()
      })
      data[at] = x
      const slope = (shifted[0]! - shifted[1]!) / 2e-4
      demand(`${backend}'s d/d${key}[${at}] against the slope`, Math.abs(gradient[at]! - slope), 2e-5 * most + 1e-6)
    }
  }
  return faults
}
