import { GraftError } from '@graftjs/tensor/error'
import { stopAtText } from '@graftjs/text'
import { answer, bestOfBeams, endOfTurnIds, eosIds } from '../answer.ts'
import { adapterOption, type Command, jsonOption, modelOption, printJson, type Values, wholeOf } from '../command.ts'
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
    stop: { value: 'TEXT', about: 'ends with the token that completes this text' },
    beams: { value: 'N', about: 'follows N texts at once and prints the likeliest' },
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
    const stopIds = chat ? endOfTurnIds(tokenizer) : eosIds(tokenizer)
    const culprit = chat ? '--chat' : '--prompt'
    if (values.beams !== undefined) {
      const best = await bestOfBeams(opened, ids, {
        ...sampling,
        culprit,
        stopIds,
        numBeams: wholeOf(values, 'beams', 1, 1),
      })
      if (values.json) printJson(best)
      else process.stdout.write(`${best.text}\n`)
      return
    }
    const { text, tokens, tokensPerSecond } = await answer(opened, ids, {
      ...sampling,
      culprit,
      stopIds,
      ...(typeof values.stop === 'string' && { stopWhen: stopAtText(tokenizer, [values.stop]) }),
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

const checkPrompt = ({ prompt, chat, system, beams, ...values }: Values): void => {
  const refuse = (given: string, expected: string): never => {
    throw new GraftError({ code: 'bad-option', culprit: 'arguments', given, expected })
  }
  if ((prompt === undefined) === (chat === undefined))
    refuse(prompt === undefined ? 'neither --prompt nor --chat' : 'both --prompt and --chat', 'one of them')
  if (system !== undefined && chat === undefined) refuse('--system with --prompt', 'it with --chat')
  const drawn = ['temperature', 'top-k', 'top-p', 'seed', 'stop'].find((name) => values[name] !== undefined)
  if (beams !== undefined && drawn) refuse(`--${drawn} with --beams`, 'one of them: beam search draws nothing')
}
