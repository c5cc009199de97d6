import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { tokenizerFromJson } from '@graftjs/text'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { tinyJson } from '../../text/src/tiny-tokenizer.test-util.ts'
import { openTokenizer } from '../src/open-tokenizer.ts'
import { readData } from '../src/read-data.ts'
import { runCli } from './run-cli.ts'

let dir: string
const at = (name: string): string => join(dir, name)
const write = (name: string, text: string): string => {
  writeFileSync(at(name), text)
  return at(name)
}
const { tokenizer: json, config } = tinyJson()
const tokenizer = tokenizerFromJson(json, config)

beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'graft-data-'))
  // A tokenizer and a config; no weights are there to be read.
  mkdirSync(at('model'))
  write('model/tokenizer.json', JSON.stringify(json))
  write('model/tokenizer_config.json', JSON.stringify(config))
  write('model/config.json', JSON.stringify({ max_position_embeddings: 40 }))
  write('rows.csv', 'question,answer\nHow?,So.\nWhy?,"Because, ""so""."\n')
  write('more.jsonl', '{"prompt":"a","completion":"b"}')
})
afterAll(() => rmSync(dir, { recursive: true }))

const recipe = (name: string, rows: object): string =>
  write(
    name,
    JSON.stringify({
      format: 'graft-recipe',
      version: 1,
      model: at('model'),
      method: { name: 'lora' },
      data: rows,
      out: at('out'),
    }),
  )

/** Runs `graft data …` and collects what it wrote; a refusal is thrown. */
const run = async (...args: string[]): Promise<{ out: string; err: string }> => {
  const { code, out, err } = await runCli('data', ...args)
  if (code !== 0) throw new Error(err)
  return { out, err }
}
const columns = { prompt: 'question', completion: 'answer' }

describe('graft data show', () => {
  it('shows the rows of a recipe as they are learnt', async () => {
    const file = recipe('chat.json', { train: at('rows.csv'), eval: at('more.jsonl'), columns: undefined, chat: true })
    await expect(run('show', file)).rejects.toThrow('set columns to {"prompt":"question","completion":"answer"}')
    const { out } = await run('show', recipe('r.json', { train: at('rows.csv'), columns, chat: true, maxLength: 99 }))
    expect(out).toContain(`${at('rows.csv')}, row 1: `)
    expect(out).toContain('Why?<|im_end|>⏎\n<|im_start|>assistant⏎\n⟦Because,·"so".<|im_end|>⟧\n')
    expect(out).toMatch(/rows\.csv: 2 rows, \d+ tokens, \d+ learnt \(\d+\.\d %\), longest \d+/)
    expect(out).not.toContain('\x1b')
  })
  it('colours where it is asked to', async () => {
    vi.stubEnv('FORCE_COLOR', '1')
    vi.stubEnv('NO_COLOR', '')
    try {
      const file = recipe('r.json', { train: at('rows.csv'), columns })
      expect((await run('show', file)).out).toContain('\x1b[48;5;')
      vi.stubEnv('NO_COLOR', '1')
      expect((await run('show', file)).out).not.toContain('\x1b')
    } finally {
      vi.unstubAllEnvs()
    }
  })
  it('shows some rows, one row, one set', async () => {
    const sets = [{ path: at('rows.csv'), name: 'mail' }, { path: at('rows.csv') }]
    const file = recipe('sets.json', { train: sets, columns })
    const rows = async (...more: string[]): Promise<string[]> =>
      [...(await run('show', file, ...more)).out.matchAll(/^(.*), row (\d+): /gm)].map(
        ([, set, row]) => `${set}/${row}`,
      )
    const other = at('rows.csv')
    expect(await rows()).toEqual(['mail/0', 'mail/1', `${other}/0`, `${other}/1`])
    expect(await rows('--rows', '1')).toEqual(['mail/0', `${other}/0`])
    expect(await rows('--rows', '0')).toEqual([])
    expect(await rows('--row', '1')).toEqual(['mail/1'])
    expect(await rows('--set', other, '--row', '1')).toEqual([`${other}/1`])
    await expect(run('show', file, '--set', 'male')).rejects.toThrow('--set: given male; expected one of mail, ')
    await expect(run('show', file, '--row', '2')).rejects.toThrow('--row: given 2; expected 0 to 1, the rows of mail')
    await expect(run('show', file, '--row', '1', '--rows', '1')).rejects.toThrow('both --rows and --row')
  })
  it('works without a recipe, prints JSON, writes HTML', async () => {
    const args = [
      'show',
      '--model',
      at('model'),
      '--data',
      at('rows.csv'),
      '--columns',
      'prompt=question,completion=answer',
    ]
    const { sets } = JSON.parse((await run(...args, '--rows', '1', '--json')).out)
    const ids = [...tokenizer.encode('How?So.'), tokenizer.eosId]
    expect(sets).toMatchObject([
      {
        name: at('rows.csv'),
        summary: { rows: 2 },
        warnings: [],
        rows: [
          {
            row: 0,
            ids,
            labels: [-100, -100, -100, -100, ...ids.slice(4)],
            tokens: ['H', 'o', 'w', '?', 'S', 'o', '.', '<|im_end|>'],
          },
        ],
      },
    ])
    const { out, err } = await run(...args, '--html', at('page.html'))
    expect([out, err]).toEqual(['', `wrote ${at('page.html')}\n`])
    expect(readFileSync(at('page.html'), 'utf8')).toContain('<!doctype html>')
  })
  it.each([
    [['show'], '--model: given nothing'],
    [['shw', 'r.json'], 'arguments: given shw; expected show'],
    [['show', 'none.json'], 'none.json: cannot be read'],
    [['show', 'none.json', '--chat'], 'given a recipe and --chat; expected a recipe, or --model and --data'],
    [['show', '--model', 'none', '--data', 'x'], 'none: given no such folder; expected a hub id'],
    [['show', '--model', 'm', '--data', 'x', '--columns', 'prompt'], '--columns: given prompt; expected our names'],
  ])('refuses %j', (args, message) => expect(run(...args)).rejects.toThrow(message))
})

describe('readData', () => {
  const source = { tokenizer, context: 40 }
  it('reads every set by the recipe', async () => {
    const read = await readData(
      {
        train: [
          { path: at('more.jsonl'), name: 'a' },
          { path: at('more.jsonl'), name: 'b' },
        ],
        eval: at('more.jsonl'),
      },
      source,
    )
    expect(read.train.map(({ name, path }) => [name, path])).toEqual([
      ['a', at('more.jsonl')],
      ['b', at('more.jsonl')],
    ])
    expect(read.eval!.encoded.samples).toEqual(read.train[0]!.encoded.samples)
    expect((await readData({ train: at('more.jsonl') }, source)).eval).toBeUndefined()
  })
  it('holds rows to the context of the model', async () => {
    const long = write('long.jsonl', JSON.stringify({ text: 'x'.repeat(60) }))
    await expect(readData({ train: long, maxLength: 100 }, source)).rejects.toThrow(
      `${long}[0]: given 61 tokens, 0 of them the prompt's; expected at most 40`,
    )
    const { train } = await readData({ train: long, truncate: 'keep-start' }, source)
    expect(train[0]!.encoded).toMatchObject({ truncated: 1, lostTokens: 21, summary: { longest: 40 } })
  })
  it('names a file that is not there before it encodes any, and a name given twice', async () => {
    await expect(readData({ train: at('rows.csv'), eval: at('none.jsonl') }, source)).rejects.toThrow(
      `${at('none.jsonl')}: cannot be read`,
    )
    const twice = [{ path: at('rows.csv') }, { path: at('rows.csv') }]
    await expect(readData({ train: twice }, source)).rejects.toThrow('data.train: given two sets named')
  })
})

describe('openTokenizer', () => {
  it('reads a folder without weights, with the context of its config', async () => {
    const { tokenizer: read, context } = await openTokenizer(at('model'))
    expect([read.encode('hello 12'), context]).toEqual([tokenizer.encode('hello 12'), 40])
    mkdirSync(at('bare'))
    await expect(openTokenizer(at('bare'))).rejects.toThrow(
      'given a model without tokenizer.json; expected one with it',
    )
  })
})
