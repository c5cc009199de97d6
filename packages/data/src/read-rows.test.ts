import { describe, expect, it } from 'vitest'
import { type ReadOptions, readRows } from './read-rows.ts'

const read = (text: string, options: Partial<ReadOptions> = {}) => readRows(text, { name: 'x.jsonl', ...options })
const csv = (text: string, options: Partial<ReadOptions> = {}) => readRows(text, { name: 'x.csv', ...options })
const lines = (...rows: unknown[]): string => rows.map((row) => JSON.stringify(row)).join('\n')
const asked = { prompt: 'p', completion: 'c' }

describe('file types', () => {
  it('goes by the ending of the name, or by what is said', () => {
    expect(read('{"text":"a"}\n{"text":"b"}')).toEqual([{ text: 'a' }, { text: 'b' }])
    expect(read('[{"text":"a"}]', { name: 'X.JSON' })).toEqual([{ text: 'a' }])
    expect(read('\uFEFF[{"text":"a"}]', { name: 'rows', type: 'json' })).toEqual([{ text: 'a' }])
    expect(csv('prompt,completion\na,b')).toEqual([{ prompt: 'a', completion: 'b' }])
    expect(csv('prompt;completion\n"a;b";c,d')).toEqual([{ prompt: 'a;b', completion: 'c,d' }])
    expect(read('{"text":"a"}\n{"text":"b"}', { name: 'x.json' })).toEqual([{ text: 'a' }, { text: 'b' }])
    expect(read('prompt\tcompletion\na,b\tc', { name: 'x.tsv' })).toEqual([{ prompt: 'a,b', completion: 'c' }])
  })
  it('reads CSV with quotes, line breaks in cells, CR LF, empty lines and a byte order mark', () => {
    expect(csv('\uFEFFprompt,completion\r\n"a ""b"", c","d\r\ne"\r\n\r\n,f\r\n')).toEqual([
      { prompt: 'a "b", c', completion: 'd\r\ne' },
      { prompt: '', completion: 'f' },
    ])
  })
  it.each([
    [
      'prompt,completion\na,b\n"c\nd",e,f',
      'x.csv, line 3: given 3 cells; expected 2, one for each of prompt, completion',
    ],
    ['prompt,completion\n"a\n\nb",c\nd', 'x.csv, line 5: given 1 cells'],
    ['prompt,completion\na,b\n"c,d', 'x.csv, line 3: given Quoted field unterminated'],
    ['prompt,prompt\na,b', 'x.csv, line 1: given the column prompt twice'],
    ['prompt,\na,b', 'x.csv, line 1: given a column without a name'],
    ['', 'x.csv: given no rows; expected a header and at least one row'],
    ['prompt,completion\n\n', 'x.csv: given no rows'],
  ])('names the line of %j', (text, message) => expect(() => csv(text)).toThrow(message))
  it.each([
    ['', {}, 'x.jsonl: given no rows; expected at least one row'],
    ['{"text":"a"}\n{', {}, 'x.jsonl, line 2: given'],
    ['{"text":"a"}\n{"text":', { name: 'x.json' }, 'x.json, line 2: given'],
    ['[{"text":', { name: 'x.json' }, 'one JSON value a line ends in .jsonl'],
    ['\uFFFD\uFFFDp\0r\0', { name: 'x.csv' }, 'x.csv: given a file that is no UTF-8 text; expected UTF-8'],
    ['{"text":"a"}', { name: 'x.json' }, 'x.json: given object; expected a JSON array'],
    ['[{"text":"a"},3]', { name: 'x.json' }, 'x.json[1]: given 3; expected an object'],
    ['a', { type: 'parquet' }, 'type: given parquet; expected one of jsonl, json, csv, tsv'],
    ['a', { format: 'chatml' }, 'format: given chatml; expected one of auto, messages, sharegpt'],
  ])('refuses %j with %j', (text, options, message) =>
    expect(() => read(text, options as Partial<ReadOptions>)).toThrow(message),
  )
})

describe('row formats', () => {
  const messages = [
    { role: 'user', content: 'a' },
    { role: 'assistant', content: null, tool_calls: [{ function: { name: 'f', arguments: '{}' } }] },
  ]
  it('are told by the columns', () => {
    expect(read(lines({ messages, id: 1 }))).toEqual([{ messages }])
    expect(read(lines({ messages, tools: [{ a: 1 }] }))).toEqual([{ messages, tools: [{ a: 1 }] }])
    expect(read(lines({ ...asked, more: 1 }))).toEqual([asked])
    expect(read(lines({ text: 'a' }))).toEqual([{ text: 'a' }])
    expect(read(lines({ instruction: 'i', input: '', output: 'o', text: 'all of it' }))).toEqual([
      { instruction: 'i', input: '', output: 'o' },
    ])
    expect(read(lines({ instruction: 'i', output: 'o' }, { instruction: 'i', input: null, output: 'o' }))).toEqual([
      { instruction: 'i', output: 'o' },
      { instruction: 'i', output: 'o' },
    ])
  })
  it('takes ShareGPT for messages', () => {
    const froms = ['system', 'human', 'gpt', 'user', 'assistant', 'human', 'chatgpt', 'tool']
    const conversations = froms.map((from) => ({ from, value: from }))
    expect(read(lines({ conversations }))).toEqual([
      {
        messages: ['system', 'user', 'assistant', 'user', 'assistant', 'user', 'assistant', 'tool'].map((role, i) => ({
          role,
          content: froms[i],
        })),
      },
    ])
    expect(read(lines({ conversations: conversations.slice(1, 3), system: 's' }))).toMatchObject([
      { messages: [{ role: 'system', content: 's' }, { role: 'user' }, { role: 'assistant' }] },
    ])
    expect(() => read(lines({ conversations: [{ from: 'alien', value: '' }] }))).toThrow(
      'x.jsonl, line 1: conversations[0]: from: given "alien"; expected one of human, user, gpt',
    )
  })
  it('may be named, where a file has the columns of several', () => {
    expect(read(lines({ ...asked, messages }))).toEqual([{ messages }])
    expect(read(lines({ ...asked, messages }), { format: 'prompt-completion' })).toEqual([asked])
    expect(() => read(lines(asked), { format: 'text' })).toThrow(
      'x.jsonl, line 1: given the columns prompt, completion; expected text, as format text has',
    )
  })
  it('takes columns under other names, and JSON in a cell', () => {
    expect(csv('question,answer\na,b', { columns: { prompt: 'question', completion: 'answer' } })).toEqual([
      { prompt: 'a', completion: 'b' },
    ])
    // The file's own prompt is another thing.
    expect(csv('prompt,q,completion\nx,a,b', { columns: { prompt: 'q' } })).toEqual([{ prompt: 'a', completion: 'b' }])
    expect(csv('chat\n"[{""role"":""user"",""content"":""a""}]"', { columns: { messages: 'chat' } })).toEqual([
      { messages: [{ role: 'user', content: 'a' }] },
    ])
    expect(() => csv('messages\nhello')).toThrow('x.csv, line 2: messages: given a text that is no JSON')
  })
  it('tells which columns setting would do', () => {
    const unknown = (columns: string) => () => csv(`${columns}\n${columns}`)
    expect(unknown('question,answer')).toThrow(
      'x.csv, line 2: given the columns question, answer; expected messages; or conversations; or prompt and completion; or instruction and output; or text; or set columns to {"prompt":"question","completion":"answer"}',
    )
    expect(unknown('id,Question,Response')).toThrow('columns to {"prompt":"Question","completion":"Response"}')
    expect(unknown('propmt,completion')).toThrow('columns to {"prompt":"propmt","completion":"completion"}')
    expect(unknown('links,rechts')).toThrow('columns to {"prompt":"links","completion":"rechts"}')
    expect(unknown('id,body')).toThrow('columns to {"text":"body"}')
    expect(() => read(lines({ chat: [{ from: 'human', value: '' }] }))).toThrow('columns to {"conversations":"chat"}')
    expect(() => read(lines({ chat: [] }))).toThrow('columns to {"messages":"chat"}')
    expect(() => read(lines({ xyz: 1, uvw: 2, rst: 3 }))).toThrow(/or text$/)
  })
  it('names the line whose columns are others', () => {
    expect(() => read(lines(asked, asked, { prompt: 'p', completoin: 'c' }))).toThrow(
      'x.jsonl, line 3: given the columns prompt, completoin; expected prompt and completion, as in x.jsonl, line 1; did you mean completoin for completion?',
    )
    expect(() => read(lines(asked), { columns: { prompt: 'promt' } })).toThrow(
      'x.jsonl, line 1: given no column promt (the columns prompt, completion); expected columns.prompt to name one of them; did you mean prompt?',
    )
    expect(() => read(lines(asked), { columns: { promt: 'prompt' } })).toThrow(
      'columns.promt: given a name that no format has; expected prompt',
    )
  })
  it.each([
    [{ messages: [] }, 'line 1: messages: given none; expected at least one message'],
    [{ messages: 3 }, 'line 1: messages: given number; expected a list'],
    [{ messages: ['a'] }, 'messages[0]: given "a"; expected an object with role and content'],
    [{ messages: [{ content: 'a' }] }, 'messages[0]: role: given nothing; expected user, assistant'],
    [{ messages: [{ role: 'user', content: null }] }, 'messages[0]: content: given null; expected a text'],
    [{ messages: [{ role: 'user', content: 3 }] }, 'messages[0]: content: given number; expected a text'],
    [{ messages: [{ role: 'user', content: 'a' }], tools: 3 }, 'tools: given number; expected a list of tools'],
    [{ conversations: [{ from: 'human' }] }, 'conversations[0]: value: given undefined; expected a text'],
    [{ prompt: 1, completion: 'c' }, 'line 1: prompt: given number; expected a text'],
    [{ text: null }, 'line 1: text: given null; expected a text'],
    [{ instruction: 'i', output: 3 }, 'line 1: output: given number; expected a text'],
  ])('refuses %j', (row, message) => expect(() => read(lines(row))).toThrow(message))
})
