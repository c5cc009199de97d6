import { describe, expect, it } from 'vitest'
import { readRecipe } from './recipe.ts'

const good = {
  format: 'graft-recipe',
  version: 1,
  model: 'm',
  method: { name: 'lora' },
  data: { train: 'a.jsonl' },
  out: 'o',
}
const read = (value: unknown) => readRecipe(JSON.stringify(value), 'r.json')

describe('readRecipe', () => {
  it('takes a whole recipe', () => {
    expect(read({ ...good, training: { steps: 3, learningRate: 1e-3, schedule: 'cosine' } })).toMatchObject({
      model: 'm',
    })
  })
  it.each([
    ['an unknown key, with near names', { ...good, modell: 1 }, 'unknown key modell; did you mean model'],
    [
      'an unknown inner key',
      { ...good, training: { batchsize: 4 } },
      'unknown key training.batchsize; did you mean batchSize',
    ],
    [
      'a newer version, before its unknown keys',
      { ...good, version: 2, novel: 1 },
      'version: given 2; expected at most 1',
    ],
    ['a missing key', { ...good, out: undefined }, 'out: given nothing; expected the path of a folder'],
    ['a missing inner key', { ...good, data: {} }, 'data.train: given nothing'],
    [
      'a value of the wrong kind',
      { ...good, training: { batchSize: 0 } },
      'training.batchSize: given 0; expected a whole number ≥ 1',
    ],
    [
      'a checkpoint each half step',
      { ...good, training: { checkpointEvery: 0.5 } },
      'training.checkpointEvery: given 0.5; expected a whole number ≥ 1',
    ],
    ['another format', { ...good, format: 'x' }, 'format: given "x"'],
    ['a list', [good], 'expected an object'],
  ])('refuses %s', (_, value, message) => {
    expect(() => read(value)).toThrow(message)
  })
  it('refuses what is no JSON', () => {
    expect(() => readRecipe('{', 'r.json')).toThrow(/r.json: given .*; expected a JSON object/)
  })
})
