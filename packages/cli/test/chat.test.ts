import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { useSimd } from '@graftjs/kernels'
import { loadModel } from '@graftjs/models'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { endOfTurnIds } from '../src/answer.ts'
import { main } from '../src/main.ts'
import { runCli } from './run-cli.ts'
import { writeTinyModel } from './tiny-model.ts'

const dir = mkdtempSync(join(tmpdir(), 'graft-chat-'))
const model = join(dir, 'model')
beforeAll(async () => {
  await useSimd({ threads: 2 })
  writeTinyModel(model)
})
afterAll(() => rmSync(dir, { recursive: true }))
afterEach(() => vi.restoreAllMocks())

const stdin = (tty = false): PassThrough => {
  const input = Object.assign(new PassThrough(), { isTTY: tty, setRawMode: () => input })
  vi.spyOn(process, 'stdin', 'get').mockReturnValue(input as never)
  return input
}
/** `graft chat` on lines from a pipe. */
const piped = async (lines: string[], ...args: string[]) => {
  stdin().end(lines.map((line) => `${line}\n`).join(''))
  return runCli('chat', '--model', model, '--max-new-tokens', '6', ...args)
}
/** The answer of a fresh model to a whole conversation. */
const answerTo = async (messages: { role: string; content: string }[]): Promise<string> => {
  const { tokenizer, dispose } = await loadModel(model)
  const prompt = tokenizer!.applyChat(messages, { addGenerationPrompt: true })
  dispose()
  const { out } = await runCli('generate', '--model', model, '--prompt', prompt, '--max-new-tokens', '6')
  return out.slice(0, -1)
}
const user = (content: string) => ({ role: 'user', content })
const assistant = (content: string) => ({ role: 'assistant', content })

describe('graft chat', () => {
  it('answers each line of a pipe with the conversation so far, as a model would that reads it all anew', async () => {
    const { code, out, err } = await piped(['hello', 'hell no', '/reset', 'world'], '--system', 'he')
    expect([code, err]).toEqual([0, 'forgot what was said\n'])
    const system = { role: 'system', content: 'he' }
    const first = await answerTo([system, user('hello')])
    const second = await answerTo([system, user('hello'), assistant(first), user('hell no')])
    const third = await answerTo([system, user('world')])
    expect(out).toBe(`${first}\n${second}\n${third}\n`)
    expect(new Set([first, second, third]).size).toBe(3)
  })

  it('sets the system message, ends at /quit, and knows no other commands', async () => {
    const { out, err } = await piped(['/system', '/system wo he', '', 'hello', '/systm', '/zzzzzzzz', '/quit', 'world'])
    expect(out).toBe(`${await answerTo([{ role: 'system', content: 'wo he' }, user('hello')])}\n`)
    expect(err.split('\n')).toEqual([
      'no system message; /system TEXT sets one',
      'system message: wo he',
      'no command /systm; did you mean /system?',
      expect.stringMatching(/^no command \/zzzzzzzz; \/reset forgets/),
      '',
    ])
  })

  it('leaves out the oldest turns when the context is full, and says so', async () => {
    const long = 'x'.repeat(60)
    const { code, out, err } = await piped(['hello', long, 'he'])
    expect(code).toBe(0)
    expect(err).toBe('the context of 128 tokens is full: the oldest turn was left out\n')
    const answers = out.split('\n')
    expect(answers.at(-2)).toBeDefined()
    const second = await answerTo([user('hello'), assistant(await answerTo([user('hello')])), user(long)])
    expect(out).toContain(second)
    const third = await answerTo([user(long), assistant(second), user('he')])
    expect(out.endsWith(`${third}\n`)).toBe(true)
  })

  it('refuses a message that no context holds', async () => {
    const { code, err } = await piped(['x'.repeat(200)])
    expect(code).toBe(1)
    expect(err).toMatch(
      /^graft chat: the message: given 2\d\d tokens; expected fewer than 128, the context of this model\n$/,
    )
  })

  it('draws by its seed, anew each turn', async () => {
    const drawn = async (seed: string) =>
      (await piped(['hello', '/reset', 'hello'], '--temperature', '2', '--seed', seed)).out
    expect(await drawn('1')).toBe(await drawn('1'))
    expect(await drawn('1')).not.toBe(await drawn('2'))
    const [first, second] = (await piped(['he', '/reset', 'he'], '--temperature', '9', '--seed', '5')).out.split('\n')
    expect(first).not.toBe(second)
  })

  it('in a terminal, Ctrl-C stops the answer, and ends where there is none; an error ends nothing', async () => {
    const input = stdin(true)
    let [out, err, stop] = ['', '', true]
    vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
      out += String(text)
      if (stop && text) {
        stop = false
        input.write('\x03')
      }
      return true
    })
    vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
      err += String(text)
      if (String(text).includes('stopped')) input.write(`${'x'.repeat(200)}\r`)
      if (String(text).includes('expected fewer')) input.write('/system\r')
      if (String(text).includes('no system')) input.write('\x03')
      return true
    })
    input.write('hello\r')
    expect(await main(['chat', '--model', model])).toBe(130)
    expect(err).toContain('stopped')
    expect(err).toContain('graft chat: the message: given 2')
    // A word or two of the 100 tokens there is room for.
    expect(out.length).toBeGreaterThan(0)
    expect(out.length).toBeLessThan(40)
  })
})

describe('endOfTurnIds', () => {
  it("has the template's end token beside EOS where they differ", async () => {
    const { tokenizer } = await loadModel(model)
    expect(endOfTurnIds(tokenizer!)).toEqual([2])
    const other = join(dir, 'other')
    writeTinyModel(other)
    const file = join(other, 'tokenizer_config.json')
    const config = JSON.parse(readFileSync(file, 'utf8')) as object
    writeFileSync(file, JSON.stringify({ ...config, eos_token: '<|endoftext|>' }))
    expect(endOfTurnIds((await loadModel(other)).tokenizer!)).toEqual([0, 2])
  })
})
