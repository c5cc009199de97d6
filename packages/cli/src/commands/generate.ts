import { generate as continueRows } from '@graftjs/models'
import { GraftError } from '@graftjs/tensor/error'
import { streamDecoder } from '@graftjs/text'
import { type Command, numberOf, parse, printJson, required } from '../command.ts'
import { openModel } from './open-model.ts'

export const generate: Command = {
  summary: 'continue a text, or answer in a chat',
  help: `graft generate --model M [--adapter DIR] (--prompt TEXT | --chat TEXT) [--max-new-tokens N] [--temperature X] [--seed N] [--json]

Temperature 0 (the default) takes the likeliest token each time. --json prints {"text","tokens","tokensPerSecond"}; otherwise
the text is written to stdout as it comes.`,
  run: async (args) => {
    const { values } = parse(args, {
      model: { type: 'string' },
      adapter: { type: 'string' },
      prompt: { type: 'string' },
      chat: { type: 'string' },
      'max-new-tokens': { type: 'string' },
      temperature: { type: 'string' },
      seed: { type: 'string' },
      json: { type: 'boolean' },
    })
    if ((values.prompt === undefined) === (values.chat === undefined))
      throw new GraftError({
        code: 'bad-option',
        culprit: 'arguments',
        given: values.prompt === undefined ? 'neither --prompt nor --chat' : 'both --prompt and --chat',
        expected: 'one of them',
      })
    const maxNewTokens = numberOf(values, 'max-new-tokens', 64, 1)
    const temperature = numberOf(values, 'temperature', 0)
    const seed = numberOf(values, 'seed', 0)
    const { model, tuned } = await openModel(values)
    const { tokenizer } = model
    if (!tokenizer)
      throw new GraftError({
        code: 'no-tokenizer',
        culprit: required(values, 'model'),
        given: 'a model without tokenizer.json',
        expected: 'one with it; `graft logits` works without',
      })
    const ids =
      typeof values.chat === 'string'
        ? tokenizer.encodeChat([{ role: 'user', content: values.chat }], { addGenerationPrompt: true })
        : tokenizer.encode(values.prompt as string)
    const room = model.config.maxPositionEmbeddings - ids.length
    if (room < 1)
      throw new GraftError({
        code: 'too-long',
        culprit: values.chat === undefined ? '--prompt' : '--chat',
        given: `${ids.length} tokens`,
        expected: `fewer than ${model.config.maxPositionEmbeddings}, the context of this model`,
      })
    const stream = streamDecoder(tokenizer)
    const write = (text: string): void => void (values.json || process.stdout.write(text))
    const from = performance.now()
    const stopIds = tokenizer.eosId === undefined ? [] : [tokenizer.eosId]
    const [tokens] = await continueRows(tuned, [ids], {
      maxNewTokens: Math.min(maxNewTokens, room),
      temperature,
      seed,
      stopIds,
      onToken: (_, id) => write(stream.push(id)),
    })
    const tokensPerSecond = tokens!.length / ((performance.now() - from) / 1000)
    write(`${stream.flush()}\n`)
    if (values.json)
      printJson({ text: tokenizer.decode(tokens!, { skipSpecialTokens: true }), tokens: tokens!, tokensPerSecond })
  },
}
