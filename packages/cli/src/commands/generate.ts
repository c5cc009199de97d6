import { GraftError } from '@graftjs/tensor/error'
import { answer, endOfTurnIds, eosIds } from '../answer.ts'
import { adapterOption, type Command, jsonOption, modelOption, printJson, type Values } from '../command.ts'
import { samplingOf, samplingOptions } from '../sampling.ts'
import { openModel, tokenizerOf } from './open-model.ts'

export const generate: Command = {
  summary: 'continue a text, or answer one message',
  usage: [
    '--model M [--adapter DIR] --prompt TEXT [OPTIONS]',
    '--model M [--adapter DIR] --chat TEXT [--system TEXT] [OPTIONS]',
  ],
  about: `The text is written to stdout as it comes. It ends at the model's end token, after 64 tokens (--max-new-tokens) or at the
end of the context. --json prints {"text","tokens","tokensPerSecond"} instead.`,
  options: {
    model: modelOption,
    adapter: adapterOption,
    prompt: { value: 'TEXT', about: 'text to go on from' },
    chat: { value: 'TEXT', about: "what the user says, through the model's chat template" },
    system: { value: 'TEXT', about: 'the system message before --chat' },
    ...samplingOptions,
    json: jsonOption,
  },
  run: async ({ values }) => {
    checkPrompt(values)
    const sampling = samplingOf(values, { maxNewTokens: 64, temperature: 0 })
    const opened = await openModel(values)
    const tokenizer = tokenizerOf(opened.model)
    const chat = typeof values.chat === 'string'
    const ids = chat
      ? tokenizer.encodeChat(messagesOf(values), { addGenerationPrompt: true })
      : tokenizer.encode(values.prompt as string)
    const write = (text: string): void => void (values.json || process.stdout.write(text))
    const { text, tokens, tokensPerSecond } = await answer(opened, ids, {
      ...sampling,
      culprit: chat ? '--chat' : '--prompt',
      stopIds: chat ? endOfTurnIds(tokenizer) : eosIds(tokenizer),
      write,
    })
    write('\n')
    if (values.json) printJson({ text, tokens, tokensPerSecond })
  },
}

const messagesOf = ({ system, chat }: Values): { role: string; content: string }[] => [
  ...(typeof system === 'string' ? [{ role: 'system', content: system }] : []),
  { role: 'user', content: chat as string },
]

const checkPrompt = ({ prompt, chat, system }: Values): void => {
  const refuse = (given: string, expected: string): never => {
    throw new GraftError({ code: 'bad-option', culprit: 'arguments', given, expected })
  }
  if ((prompt === undefined) === (chat === undefined))
    refuse(prompt === undefined ? 'neither --prompt nor --chat' : 'both --prompt and --chat', 'one of them')
  if (system !== undefined && chat === undefined) refuse('--system with --prompt', 'it with --chat')
}
