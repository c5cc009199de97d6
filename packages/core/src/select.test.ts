import '@tensorflow/tfjs-backend-cpu'
import * as tf from '@tensorflow/tfjs-core'
import { beforeAll, describe, expect, it } from 'vitest'
import { linears } from './select.ts'
import { toyModel } from './toy-model.test-util.ts'

beforeAll(async () => void (await tf.setBackend('cpu')))
const paths = (targets: Parameters<typeof linears>[1], exclude?: string[] | string) =>
  linears(toyModel(), targets, { excludeModules: exclude ?? null }).map((s) => s.path)

describe('linears: PEFT target rules', () => {
  it('matches list entries as suffixes after a dot, strings as whole regular expressions', () => {
    expect(paths(['proj'])).toHaveLength(3)
    expect(paths(['1.proj'])).toEqual(['layers.1.proj'])
    expect(paths('.*[02]\\.proj')).toEqual(['layers.0.proj', 'layers.2.proj'])
    expect(paths('all-linear')).toHaveLength(3)
    expect(paths(null)).toHaveLength(3)
    expect(paths(['proj'], ['layers.0.proj'])).toHaveLength(2)
  })
  it.each([
    [['roj'], /no linear site of this toy model matches "roj"; near names: proj/],
    ['proj', /no linear site of this toy model matches "proj"/],
    [['proj', 'prj'], /"prj"; near names: proj/],
    ['(', /targetModules: given "\("; expected a valid regular expression/],
    [[], /an empty list/],
  ])('refuses %j', (targets, message) => expect(() => paths(targets as string[])).toThrow(message))
  it('refuses an exclusion that leaves nothing', () =>
    expect(() => paths(['proj'], ['proj'])).toThrow(/leave at least one/))
})
