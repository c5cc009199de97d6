import { GraftError } from '@graftjs/tensor/error'
import type { Tokenizer } from '@graftjs/text'
import { type OllamaTemplate, ollamaTemplate } from './ollama-template.ts'

export interface ModelfileOptions {
  /** The .gguf file, as a path from the Modelfile, or the name of a model that Ollama has. */
  readonly from: string
  /** Of the model: its chat template becomes TEMPLATE, and what ends a turn becomes a stop. */
  readonly tokenizer?: Tokenizer | undefined
  /** In Ollama's own language, in place of the one made of the chat template. */
  readonly template?: string
  /** A LoRA that llama.cpp's converter wrote as GGUF. */
  readonly adapter?: string
  /** Default: the one that the chat template itself puts where a conversation has none. */
  readonly system?: string
  /** More texts that end an answer. */
  readonly stop?: readonly string[]
  /** Ollama's: `temperature`, `top_p`, `num_ctx`, … A list is written once an item. */
  readonly parameters?: Readonly<Record<string, string | number | readonly (string | number)[]>>
  /** The text of a licence. */
  readonly license?: string
}

/**
 * A Modelfile for `ollama create NAME -f Modelfile`. Ollama has templates of its own kind, so the chat template (Jinja) is
 * written anew: from what it puts around each role, and only if that gives the same text for a longer conversation.
 * Errors: `not-saveable` for a chat template that does more than that, or a text that no Modelfile can hold.
 */
export const modelfile = (options: ModelfileOptions): string => {
  const { from, adapter, parameters = {}, license, stop = [] } = options
  const chat = templateOf(options)
  const system = options.system ?? chat?.system
  const stops = [...new Set([...(chat?.stop ?? []), ...stop])]
  return [
    `FROM ${line('FROM', from)}`,
    ...(adapter === undefined ? [] : [`ADAPTER ${line('ADAPTER', adapter)}`]),
    ...(chat ? [`TEMPLATE ${block('TEMPLATE', chat.template)}`] : []),
    ...(system === undefined ? [] : [`SYSTEM ${block('SYSTEM', system)}`]),
    ...stops.map((text) => `PARAMETER stop ${quoted(text)}`),
    ...Object.entries(parameters).flatMap(([name, given]) => parameterLines(name, given)),
    ...(license === undefined ? [] : [`LICENSE ${block('LICENSE', license)}`]),
    '',
  ].join('\n')
}

const templateOf = ({ template, tokenizer }: ModelfileOptions): OllamaTemplate | undefined => {
  if (template === undefined) return tokenizer?.chat && ollamaTemplate(tokenizer)
  return { template, stop: tokenizer?.eosId === undefined ? [] : [tokenizer.tokenOf(tokenizer.eosId)] }
}

const refuse = (culprit: string, given: string, expected: string): GraftError =>
  new GraftError({ code: 'not-saveable', culprit: `Modelfile: ${culprit}`, given, expected })

const line = (what: string, text: string): string => {
  if (text.trim() === text && text !== '' && !/[\r\n"]/.test(text)) return text
  throw refuse(what, JSON.stringify(text), 'a name or path of one line, without quotes')
}

/** In three quotes a text is taken as it is, all but three quotes. */
const block = (what: string, text: string): string => {
  if (!text.includes('"""') && !text.endsWith('"')) return `"""${text}"""`
  throw refuse(what, 'a text with """ in it, or with " at its end', 'one without, for it ends the text')
}

const quoted = (text: string): string => {
  if (/[\r\n]/.test(text) || text.includes('"'))
    throw refuse('PARAMETER stop', JSON.stringify(text), 'one line without quotes')
  return `"${text}"`
}

const parameterLines = (name: string, given: string | number | readonly (string | number)[]): string[] => {
  if (!/^[a-z_]+$/.test(name)) throw refuse('PARAMETER', JSON.stringify(name), 'a name such as temperature')
  const values: readonly (string | number)[] = Array.isArray(given) ? given : [given as string | number]
  return values.map((value) => `PARAMETER ${name} ${typeof value === 'number' ? value : quoted(value)}`)
}
