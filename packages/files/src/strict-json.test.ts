import { describe, expect, test } from 'vitest'
import { faultOf, faultOrNone, mutate, seeded, utf8 } from './files.test-util.ts'
import { type Json, strictJson } from './index.ts'

describe('strictJson', () => {
  test.each<[string, Json]>([
    ['null', null],
    [' [1, -2.5e3, "a", true] ', [1, -2500, 'a', true]],
    ['{"a":{"x":1},"b":{"x":2},"c":[{"x":3},{"x":4}]}', { a: { x: 1 }, b: { x: 2 }, c: [{ x: 3 }, { x: 4 }] }],
    ['{"a":"a","b":"\\"a\\":","c":"{\\"c\\":1}"}', { a: 'a', b: '"a":', c: '{"c":1}' }],
    ['{"a\\\\":1,"a":2}', { 'a\\': 1, a: 2 }],
    ['["a","a",["a"]]', ['a', 'a', ['a']]],
  ])('%s', (text, value) => {
    expect(strictJson(text, 'a.json')).toEqual(value)
  })

  test.each([
    ['a key twice', '{"a":1,"a":2}'],
    ['a key twice with white space', '{"a" :1,\n"a"\t:2}'],
    ['a key twice, once escaped', '{"a":1,"\\u0061":2}'],
    ['a key twice, deep', '[{"b":{"a":1,"c":{"a":2},"a":3}}]'],
    ['a key twice around another object', '{"a":{"b":1},"c":[1,{"d":2}],"a":1}'],
    ['__proto__ twice', '{"__proto__":1,"__proto__":2}'],
    ['an empty key twice', '{"":1,"":2}'],
    ['no text', ''],
    ['a comma too many', '[1,]'],
    ['a byte-order mark', '\ufeff{}'],
    ['NaN', '{"a":NaN}'],
    ['no end of a string', '{"a'],
    ['a million brackets', '['.repeat(1e6)],
    ['a hundred thousand nested arrays', `${'['.repeat(1e5)}${']'.repeat(1e5)}`],
  ])('refused: %s', async (_, text) => {
    const fault = await faultOf(() => strictJson(text, 'a.json'))
    expect(fault.code).toBe('bad-file')
    expect(fault.message).toMatch(/^a\.json/)
    expect(fault.message.length).toBeLessThan(300)
  })

  test('__proto__ is a plain key of its own', () => {
    const value = strictJson('{"__proto__":{"polluted":1}}', 'a.json') as { [key: string]: Json }
    expect(Object.keys(value)).toEqual(['__proto__'])
    expect(value.polluted).toBeUndefined()
    expect(({} as Record<string, unknown>).polluted).toBeUndefined()
  })

  test('many keys take a time that grows with their number', () => {
    const text = `{${Array.from({ length: 100_000 }, (_, i) => `"k${i}":${i}`)}}`
    const start = performance.now()
    strictJson(text, 'a.json')
    expect(performance.now() - start).toBeLessThan(2_000)
  })

  test('2,000 random changes: what JSON.parse gives, or a GraftError', async () => {
    const bytes = utf8('{"a":[1,{"b":"\\"x\\"","c":null}],"d":{"a":-1.5e3,"":"ä"}}')
    for (let seed = 0; seed < 2_000; seed++) {
      const text = new TextDecoder().decode(mutate(bytes, seeded(seed)))
      await faultOrNone(() => expect(strictJson(text, 'a.json')).toEqual(JSON.parse(text)))
    }
  })
})
