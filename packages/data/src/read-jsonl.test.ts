import { describe, expect, it } from 'vitest'
import { promptCompletion } from './prompt-completion.ts'
import { readJsonl } from './read-jsonl.ts'

describe('readJsonl', () => {
  it('reads a value a line, with any line ends, empty lines and a byte order mark', () => {
    expect(readJsonl('\uFEFF{"a":1}\r\n\n[2]\n"\\u2028x"\n')).toEqual([{ a: 1 }, [2], '\u2028x'])
    expect(readJsonl('')).toEqual([])
  })
  it('names the line', () => {
    expect(() => readJsonl('{}\n\n{"a":', { name: 'x.jsonl' })).toThrow(
      /^x\.jsonl, line 3: given .*; expected one JSON value/,
    )
  })
  it('checks rows', () => {
    const read = (text: string) => readJsonl(text, { name: 'x.jsonl', row: promptCompletion })
    expect(read('{"prompt":"p","completion":"c","more":1}')).toEqual([{ prompt: 'p', completion: 'c' }])
    expect(() => read('{"prompt":"p","completion":"c"}\n{"prompt":"p"}')).toThrow(
      'x.jsonl, line 2: completion: given undefined; expected a text',
    )
    expect(() => read('3')).toThrow('x.jsonl, line 1: given 3; expected an object with prompt and completion')
  })
})
