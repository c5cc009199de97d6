import '@tensorflow/tfjs-backend-cpu'
import { setBackend } from '@tensorflow/tfjs-core'
import { beforeAll, describe, expect, it } from 'vitest'
import { add, mul, ones, range, scope, zeros } from './ops.ts'
import { reshape } from './reshape.ts'
import { record } from './tape.ts'

beforeAll(async () => void (await setBackend('cpu')))

describe('reshape', () => {
  it('fills in one -1, also in an empty tensor', () => {
    expect(scope(() => reshape(ones([2, 3, 4]), [-1, 4]).shape)).toEqual([6, 4])
    expect(scope(() => reshape(zeros([0, 3]), [0, 3]).shape)).toEqual([0, 3])
  })

  it.each([[[-1, 5]], [[2, 3]], [[-1, -1]], [[2.5, -1]]])('refuses %j, with a tape and without', (shape) => {
    const act = (): unknown => scope(() => reshape(ones([2, 3, 4]), shape))
    expect(act).toThrow('reshape: given [2,3,4] to be [')
    expect(() => record(act)).toThrow('expected a shape of 24 numbers')
  })
})

describe('whole numbers beside int32', () => {
  it('stay int32; broken ones and floats make floats', () => {
    expect(scope(() => add(range(0, 3), 1).dtype)).toBe('int32')
    expect(scope(() => mul(2, range(0, 3)).dtype)).toBe('int32')
    expect(scope(() => add(range(0, 3), 0.5).dtype)).toBe('float32')
    expect(scope(() => add(ones([3]), 1).dtype)).toBe('float32')
  })
})
