import '@tensorflow/tfjs-backend-cpu'
import * as tf from '@tensorflow/tfjs-core'
import { beforeAll, describe, expect, it } from 'vitest'
import { savedSites } from './saved-modules.ts'
import { linears, type SelectOptions } from './select.ts'
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
  it('layersToTransform: in these layers alone, by the first number or by the name before it', () => {
    const of = (options: SelectOptions) => linears(toyModel(), ['proj'], options).map((s) => s.path)
    expect(of({ layersToTransform: 1, layersPattern: 'layers' })).toEqual(['layers.1.proj'])
    expect(of({ layersToTransform: [2, 0], layersPattern: ['h', 'layers'] })).toEqual([
      'layers.0.proj',
      'layers.2.proj',
    ])
    expect(of({ layersToTransform: [] })).toHaveLength(3)
    expect(() => of({ layersToTransform: [7], layersPattern: 'layers' })).toThrow(
      'layersToTransform: given [7]; expected to leave at least one of the target modules',
    )
    // Without a pattern PEFT's rule asks for a name and a dot before the list.
    expect(() => of({ layersToTransform: [1] })).toThrow('layersToTransform')
    expect(() => of({ layersToTransform: [1], layersPattern: '(' })).toThrow('layersPattern: given "("')
  })
  it('what is saved as a whole is no target', () => {
    const of = (modulesToSave: string[]) => linears(toyModel(), ['proj'], { modulesToSave }).map((s) => s.path)
    expect(of(['layers.1'])).toEqual(['layers.0.proj', 'layers.2.proj'])
    expect(of(['head'])).toHaveLength(3)
    expect(() => of(['layers'])).toThrow('modulesToSave: given ["layers"]')
  })
})

describe('savedModules', () => {
  const paths = (names: string[]) => savedSites(toyModel(), names).map((s) => s.path)
  it('takes all weighted sites of the modules that a name ends the path of', () => {
    expect(paths(['1.proj'])).toEqual(['layers.1.proj'])
    expect(paths(['roj'])).toHaveLength(3) // PEFT asks for no dot
    expect(paths(['layers.2', 'score'])).toEqual(['layers.2.proj'])
  })
  it('refuses a name that nothing answers to', () => {
    expect(() => paths(['prj'])).toThrow(
      /modulesToSave: no module with weights of this toy model matches "prj"; near names: proj/,
    )
    expect(() => paths(['score'])).toThrow('"score"')
  })
})
