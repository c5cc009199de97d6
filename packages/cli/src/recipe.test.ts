import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { methodOf } from './methods.ts'
import { readRecipe } from './recipe.ts'
import { flatFields, recipeTable } from './recipe-fields.ts'
import { recipeJsonSchema } from './recipe-json-schema.ts'

const good = {
  format: 'graft-recipe',
  version: 1,
  model: 'm',
  method: { name: 'lora' },
  data: { train: 'a.jsonl' },
  out: 'o',
}
const read = (value: unknown) => readRecipe(JSON.stringify(value), 'r.json')
const yaml = (...lines: string[]): string =>
  [
    'format: graft-recipe',
    'version: 1',
    'model: m',
    'method: { name: lora }',
    'data: { train: a.jsonl }',
    'out: o',
    ...lines,
  ].join('\n')

describe('readRecipe', () => {
  it('takes a whole recipe', () => {
    expect(read({ ...good, training: { steps: 3, learningRate: 1e-3, schedule: 'cosine' } })).toMatchObject({
      model: 'm',
    })
    const whole = {
      ...good,
      $schema: 'x',
      data: {
        train: [{ path: 'a.jsonl', name: 'a' }, { path: 'b.csv' }],
        packing: 'wrapped',
        columns: { prompt: 'question' },
        eval: 'c.jsonl',
        mixing: { strategy: 'temperature', temperature: 2 },
      },
      training: { keep: 1e9, nonFinite: 'rollback', checkpointEvery: 10 },
      evaluation: { every: 10, prompts: ['a'], earlyStopping: { patience: 2 } },
      logging: { tensorboard: true },
    }
    expect(read(whole)).toEqual(whole)
  })
  it.each([
    ['an unknown key, with near names', { ...good, modell: 1 }, 'unknown key modell; did you mean model'],
    [
      'an unknown inner key',
      { ...good, training: { batchsize: 4 } },
      'unknown key training.batchsize; did you mean batchSize',
    ],
    [
      'a key in the words of another tool',
      { ...good, training: { learning_rate: 4 } },
      'unknown key training.learning_rate; did you mean learningRate',
    ],
    [
      'a key in the wrong place',
      { ...good, warmupRatio: 0.1 },
      'unknown key warmupRatio; its place is training.warmupRatio',
    ],
    [
      'an unknown key like no other',
      { ...good, logging: { zzzzzzzzzz: 1 } },
      'unknown key logging.zzzzzzzzzz; known keys are report, tensorboard',
    ],
    ['an unknown key before a missing one', { ...good, out: undefined, output: 'x' }, 'unknown key output; did you'],
    [
      'an unknown key in a list',
      { ...good, data: { train: [{ path: 'a' }, { paht: 'b' }] } },
      'unknown key data.train[1].paht; did you mean path',
    ],
    [
      'a newer version, before its unknown keys',
      { ...good, version: 2, novel: 1 },
      'version: given 2; expected at most 1',
    ],
    ['a missing key', { ...good, out: undefined }, 'out: given nothing; expected the path of a folder'],
    ['a missing inner key', { ...good, data: {} }, 'data.train: given nothing'],
    ['a missing section', { ...good, data: undefined }, 'data: given nothing; expected an object'],
    [
      'a missing key in a list',
      { ...good, data: { train: [{ path: 'a' }, { name: 'b' }] } },
      'data.train[1].path: given nothing; expected the path of a file',
    ],
    ['an empty list', { ...good, data: { train: [] } }, 'data.train: given []; expected at least one { path'],
    ['no file', { ...good, data: { train: 5 } }, 'data.train: given 5; expected the path of a file, or a list'],
    [
      'a value of the wrong kind',
      { ...good, training: { batchSize: 0 } },
      'training.batchSize: given 0; expected a whole number ≥ 1',
    ],
    ['text for a number', { ...good, training: { steps: '9' } }, 'training.steps: given "9"; expected a whole number'],
    [
      'a checkpoint each half step',
      { ...good, training: { checkpointEvery: 0.5 } },
      'training.checkpointEvery: given 0.5; expected a whole number ≥ 1',
    ],
    ['a word of no meaning', { ...good, training: { keep: 'some' } }, `keep: given "some"; expected 'none', 'all' or`],
    [
      'a name that is none of a list',
      { ...good, training: { schedule: 'step' } },
      'schedule: given "step"; expected constant, linear or cosine',
    ],
    ['a method without a name', { ...good, method: { r: 8 } }, 'method.name: given nothing; expected the name'],
    ['another format', { ...good, format: 'x' }, 'format: given "x"; expected "graft-recipe"'],
    ['a version of text', { ...good, version: '1' }, 'version: given "1"; expected 1'],
    [
      'early stopping without rows to measure',
      { ...good, evaluation: { earlyStopping: { patience: 2 } } },
      'evaluation.earlyStopping: given {"patience":2}; expected data.eval beside it',
    ],
    [
      'the best without rows to measure',
      { ...good, evaluation: { restoreBest: true } },
      'evaluation.restoreBest: given true; expected data.eval beside it',
    ],
    [
      'going back to a checkpoint that is never written',
      { ...good, training: { nonFinite: 'rollback' } },
      'training.nonFinite: given "rollback"; expected training.checkpointEvery beside it',
    ],
    [
      'a temperature without its strategy',
      { ...good, data: { train: 'a', mixing: { strategy: 'equal', temperature: 2 } } },
      'data.mixing.temperature: given 2; expected it with the strategy "temperature" alone',
    ],
    [
      'a strategy without its temperature',
      { ...good, data: { train: 'a', mixing: { strategy: 'temperature' } } },
      'data.mixing.temperature: given nothing; expected a number > 0',
    ],
    ['a list', [good], 'expected an object'],
  ])('refuses %s', (_, value, message) => {
    expect(() => read(value)).toThrow(message)
  })
  it('refuses what is no JSON', () => {
    expect(() => readRecipe('{', 'r.json')).toThrow(/r.json: given .*; expected a JSON object/)
    expect(() => readRecipe('{"model": "a", "model": "b"}', 'r.json')).toThrow('given the key "model" twice')
  })

  it('takes YAML, by the name of the file', () => {
    const text = yaml('training:', '  learningRate: 2e-4 # a comment', '  schedule: cosine')
    for (const file of ['r.yaml', 'r.yml', 'R.YAML'])
      expect(readRecipe(text, file)).toEqual({ ...good, training: { learningRate: 2e-4, schedule: 'cosine' } })
    expect(() => readRecipe(text, 'r.json')).toThrow('a recipe in YAML ends with .yaml')
  })
  it.each([
    ['a fault of syntax', yaml('training: { steps: 3'), /^r\.yaml:7:\d+: given YAML with a fault: .*; expected YAML$/],
    ['a bad indent', yaml('training:', '  steps: 3', ' clip: 1'), /^r\.yaml:9:\d+: given YAML with a fault/],
    ['a tab', yaml('training:', '\tsteps: 3'), /^r\.yaml:8:\d+: /],
    ['a key twice', yaml('model: other'), /^r\.yaml:7:1: given a key twice in one object; expected each key once$/],
    ['nothing', '# empty', /^r\.yaml: recipe: given null; expected an object$/],
    ['a word for yes', yaml('logging:', '  report: yes'), /logging\.report: given "yes"; expected true or false/],
    ['an alias of nothing', yaml('training: *none'), /^r\.yaml.*none/],
    ['a key that JavaScript knows', yaml('__proto__: { a: 1 }'), /unknown key __proto__/],
  ])('refuses YAML with %s, and says where', (_, text, message) => {
    expect(() => readRecipe(text, 'r.yaml')).toThrow(message)
  })
})

describe('methodOf', () => {
  it.each([
    [{ name: 'lora', alpha: 16 }, 'lora has no option alpha; did you mean loraAlpha or alphaPattern?'],
    [{ name: 'lora', lora_alpha: 16 }, 'did you mean loraAlpha?'],
    [{ name: 'lora', rank: 8 }, 'did you mean rankPattern?'],
    [[{ name: 'lora' }, { name: 'lora', dropout: 0.1 }], 'did you mean loraDropout?'],
    [{ name: 'LoRA' }, 'did you mean lora?'],
    [{ name: 'constructor' }, 'method.name: given "constructor"; expected one of lora'],
  ])('refuses %j', (config, message) => {
    expect(() => methodOf(config)).toThrow(message)
  })
})

describe('the schema of recipes', () => {
  it('is recipe.schema.json; `pnpm --filter @graftjs/cli schema` writes it anew', () => {
    const file = readFileSync(new URL('../recipe.schema.json', import.meta.url), 'utf8')
    expect(JSON.parse(file)).toEqual(JSON.parse(JSON.stringify(recipeJsonSchema())))
  })
  it('says of every key what it is, and what counts when it is absent or a value to begin with', () => {
    for (const { path, description, ...field } of flatFields()) {
      expect(description, path).toMatch(/^[A-Z].*\.$/)
      expect('absent' in field || 'example' in field, path).toBe(true)
    }
  })
  it('is the table of docs/cli.md', () => {
    const page = readFileSync(new URL('../../../docs/cli.md', import.meta.url), 'utf8')
    expect(page).toContain(recipeTable())
  })
})
