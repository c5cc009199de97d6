import { crossEntropy, storedWeight } from '@graftjs/kernels'
import { argMax, dispose, scope, sum, type Tensor } from '@graftjs/tensor'
import { distance, floats, ints, make, randomWeight } from '../../kernels/test/support.ts'
import type { PortableCase } from './protocol.ts'

/** What breaks where a tensor that has gone to a GPU cannot be read at once. */
export const deviceCases = (): PortableCase[] => [
  {
    name: 'labels that have been uploaded are used again',
    run: async () => {
      const w = storedWeight('w', 'f32', randomWeight('f32', 40, 8), [40, 8])
      const [hidden, labels] = [make(floats([3, 8], 'hidden')), make(ints([3], [7, -100, 39]))]
      const nll = (): Tensor => scope(() => crossEntropy(hidden, w, labels))
      await expectSame(nll(), await numbers(nll()))
      w.dispose()
      dispose([hidden, labels])
    },
  },
  ...(['f32', 'q8_0'] as const).map((format) => ({
    name: `rows of a ${format} weight that has been multiplied by, taken by ids made on the device`,
    run: async () => {
      const w = storedWeight('w', format, randomWeight(format, 9, 32), [9, 32])
      const ids = [3, 0, 8, 3]
      const picks = Float32Array.from({ length: 4 * 9 }, (_, i) => (i % 9 === ids[Math.floor(i / 9)] ? 1 : 0))
      const chosen = make({ data: picks, shape: [4, 9], dtype: 'float32' })
      const x = make(floats([2, 32], 'x'))
      const rows = scope(() => {
        sum(w.matmul(x))
        return w.rows(argMax(chosen))
      })
      const whole = await numbers(w.dense())
      await expectSame(
        rows,
        ids.flatMap((id) => [...whole.slice(id * 32, (id + 1) * 32)]),
      )
      w.dispose()
      dispose([chosen, x])
    },
  })),
]

const numbers = async (t: Tensor): Promise<Float32Array> => {
  const data = (await t.data()) as Float32Array
  dispose(t)
  return data
}

const expectSame = async (t: Tensor, wanted: ArrayLike<number>): Promise<void> => {
  const got = await numbers(t)
  if (!(distance(got, wanted) < 1e-6)) throw new Error(`got ${got}, expected ${Array.from(wanted)}`)
}
