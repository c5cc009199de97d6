import { createInterface } from 'node:readline'
import { textCache } from '@graftjs/models'
import { GraftError, isGraftError } from '@graftjs/tensor/error'
import { answer, endOfTurnIds } from '../answer.ts'
import { adapterOption, type Command, modelOption, say } from '../command.ts'
import { type Conversation, conversation } from '../conversation.ts'
import { nearKey } from '../near-key.ts'
import { type Sampling, samplingOf, samplingOptions } from '../sampling.ts'
import { type Opened, openModel, tokenizerOf } from './open-model.ts'

export const chat: Command = {
  summary: 'talk with a model in the terminal',
  usage: ['--model M [--adapter DIR] [--system TEXT] [OPTIONS]'],
  about: `A line is a message; the answer is written as it comes. /reset forgets what was said, /system TEXT sets the system message,
/quit ends. Ctrl-C stops an answer; where none is under way it ends. An answer ends at the model's end token or its chat
template's, or after 512 tokens (--max-new-tokens). When the context is full the oldest turns are left out, and that is said.

Lines may come from a pipe: then stdout has the answers alone.`,
  options: {
    model: modelOption,
    adapter: adapterOption,
    system: { value: 'TEXT', about: 'the system message' },
    ...samplingOptions,
  },
  run: async ({ values }) => {
    const sampling = samplingOf(values, { maxNewTokens: 512, temperature: 0 })
    const opened = await openModel(values)
    const tokenizer = tokenizerOf(opened.model)
    if (!tokenizer.chat) throw withoutTemplate(opened.model.name)
    const stopIds = endOfTurnIds(tokenizer)
    const context = opened.model.config.maxPositionEmbeddings
    const talk = conversation(tokenizer, context, typeof values.system === 'string' ? values.system : undefined)
    return converse(opened, talk, stopIds, sampling)
  },
}

const withoutTemplate = (culprit: string): GraftError =>
  new GraftError({
    code: 'no-chat-template',
    culprit,
    given: 'a model without a chat template',
    expected: 'one tuned for chat; `graft generate --prompt` goes on from plain text',
  })

const commands: Readonly<Record<string, (talk: Conversation, rest: string) => string>> = {
  reset: (talk) => {
    talk.reset()
    return 'forgot what was said'
  },
  system: (talk, rest) => {
    if (rest) talk.setSystem(rest)
    return talk.system === undefined ? 'no system message; /system TEXT sets one' : `system message: ${talk.system}`
  },
  quit: () => '',
  help: () => '/reset forgets what was said, /system TEXT sets the system message, /quit ends',
}

const converse = async (
  opened: Opened,
  talk: Conversation,
  stopIds: readonly number[],
  sampling: Sampling,
): Promise<number> => {
  const tty = process.stdin.isTTY === true
  const lines = createInterface({
    input: process.stdin,
    ...(tty && { output: process.stderr, prompt: '> ' }),
    terminal: tty,
  })
  const cache = textCache()
  let exitCode = 0
  let running: AbortController | undefined
  let turn = 0
  lines.on('SIGINT', () => {
    if (running && !running.signal.aborted) return running.abort()
    exitCode = 130
    running?.abort()
    lines.close()
  })
  if (tty) say(`${opened.model.name}; /help lists commands, Ctrl-C ends`)
  try {
    if (tty) lines.prompt()
    for await (const line of lines) {
      const text = line.trim()
      if (text === '/quit') break
      if (text.startsWith('/')) say(obey(talk, text))
      else if (text) {
        running = new AbortController()
        await reply(
          opened,
          talk,
          text,
          { ...sampling, seed: sampling.seed + turn++, stopIds, cache, signal: running.signal },
          tty,
        )
        running = undefined
      }
      if (exitCode) break
      if (tty) lines.prompt()
    }
    return exitCode
  } finally {
    lines.close()
    cache.dispose()
  }
}

const obey = (talk: Conversation, text: string): string => {
  const [, name = '', rest = ''] = /^\/(\S*)\s*(.*)$/.exec(text)!
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined
  if (command) return command(talk, rest)
  const close = nearKey(name, Object.keys(commands))
  return `no command /${name}; ${close.length ? `did you mean ${close.map((n) => `/${n}`).join(' or ')}?` : commands.help!(talk, '')}`
}

const reply = async (
  opened: Opened,
  talk: Conversation,
  text: string,
  options: Omit<Parameters<typeof answer>[2], 'culprit' | 'write'>,
  tty: boolean,
): Promise<void> => {
  const context = opened.model.config.maxPositionEmbeddings
  try {
    const { ids, dropped } = talk.ask(text, Math.min(options.maxNewTokens, Math.ceil(context / 4)))
    if (dropped)
      say(
        `the context of ${context} tokens is full: the ${dropped === 1 ? 'oldest turn was' : `${dropped} oldest turns were`} left out`,
      )
    const write = (piece: string): void => void process.stdout.write(piece)
    const { text: said, stopped } = await answer(opened, ids, { ...options, culprit: 'the message', write })
    write('\n')
    if (stopped) say('stopped')
    talk.answered(said)
  } catch (error) {
    // In a terminal the next message may fare better; a script wants to know.
    if (!tty || !isGraftError(error)) throw error
    say(`graft chat: ${error.message}`)
  }
}
