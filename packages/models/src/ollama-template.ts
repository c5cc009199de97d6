import { GraftError, isGraftError } from '@graftjs/tensor/error'
import type { ChatMessage, Tokenizer } from '@graftjs/text'

export interface OllamaTemplate {
  /** In the language of Go's text/template. */
  readonly template: string
  /** What the chat template says as the system where a conversation does not. */
  readonly system?: string
  /** What ends the assistant's turn. */
  readonly stop: readonly string[]
}

/**
 * A chat template of Jinja as one of Ollama: what it writes before and after the message of each role, and before an answer.
 * That is read off rendered conversations, put together again and compared with others. Errors: `not-saveable` for a template
 * that does more than that, such as one that says the date.
 */
export const ollamaTemplate = (tokenizer: Tokenizer): OllamaTemplate => {
  const render = renderer(tokenizer)
  const form = formOf(render)
  checkForm(render, form)
  const { begin, system, user, assistant, opening, defaultSystem } = form
  // Ollama puts a BOS that the tokenizer adds before the whole text itself.
  const bos = addedBos(tokenizer)
  const withoutBos = (text: string): string =>
    bos !== undefined && text.startsWith(bos) ? text.slice(bos.length) : text
  const roles = Object.entries({ ...(system && { system }), user, assistant })
  const branches = roles.map(
    ([role, [before, after]], i) =>
      `{{ ${i > 0 ? 'else if' : 'if'} eq .Role "${role}" }}${literal(withoutBos(before))}{{ .Content }}${literal(after)}`,
  )
  const stop = [assistant[1].trim(), tokenizer.eosId === undefined ? '' : tokenizer.tokenOf(tokenizer.eosId)]
  return {
    template: `${literal(withoutBos(begin))}{{ range .Messages }}${branches.join('')}{{ end }}{{ end }}${literal(opening)}`,
    ...(defaultSystem !== undefined && { system: defaultSystem }),
    stop: [...new Set(stop)].filter((text) => text !== ''),
  }
}

type Around = readonly [before: string, after: string]

interface Form {
  readonly begin: string
  /** Undefined where the template takes no system message. */
  readonly system: Around | undefined
  readonly defaultSystem: string | undefined
  readonly user: Around
  readonly assistant: Around
  readonly opening: string
}

const refuse = (given: string): GraftError =>
  new GraftError({
    code: 'not-saveable',
    culprit: 'chat template',
    given,
    expected:
      'one that writes each message between two fixed texts; for another give the template that Ollama shall use',
  })

/** Undefined where the template itself refuses the conversation. */
type Render = (messages: readonly ChatMessage[], ask?: boolean, now?: Date) => string | undefined

const renderer =
  (tokenizer: Tokenizer): Render =>
  (messages, addGenerationPrompt = false, now = new Date(0)) => {
    try {
      return tokenizer.applyChat(messages, { addGenerationPrompt, now })
    } catch (error) {
      if (isGraftError(error)) return undefined
      throw error
    }
  }

// Texts that no template has.
const [S, U, A] = ['⟦system⟧', '⟦user⟧', '⟦assistant⟧']
const say = (role: string, content: string): ChatMessage => ({ role, content })
const turns = [say('user', U), say('assistant', A), say('user', U), say('assistant', A)]

const formOf = (render: Render): Form => {
  const [talk, asked, asking] = [render(turns), render(turns.slice(0, 3), true), render(turns.slice(0, 3))]
  if (talk === undefined || asked === undefined || asking === undefined || !asked.startsWith(asking))
    throw refuse('one that refuses a conversation, or changes it where an answer is asked for')
  const opening = asked.slice(asking.length)
  // first U toAnswer A toQuestion U … A last
  const [first, toAnswer, toQuestion, , last] = talk.split(/⟦\w+⟧/)
  if (last === undefined) throw refuse('one that leaves messages out')
  const before = cutEnd(toAnswer!, opening)
  const user = [cutStart(toQuestion!, last), before] as const
  const assistant = [opening, last] as const
  const rest = cutEnd(first!, user[0])
  const systemTalk = render([say('system', S), ...turns])
  if (systemTalk === undefined || !systemTalk.includes(S))
    return { begin: rest, system: undefined, defaultSystem: undefined, user, assistant, opening }
  const [head, tail] = systemTalk.split(/⟦\w+⟧/)
  const end = cutEnd(tail!, user[0])
  // Where nobody speaks as the system, the template may do so itself.
  const middle = rest.startsWith(head!) && rest.endsWith(end) ? rest.slice(head!.length, rest.length - end.length) : ''
  if (middle !== '') return { begin: '', system: [head!, end], defaultSystem: middle, user, assistant, opening }
  return { begin: rest, system: [cutStart(head!, rest), end], defaultSystem: undefined, user, assistant, opening }
}

const cutEnd = (text: string, end: string): string => {
  if (text.endsWith(end)) return text.slice(0, text.length - end.length)
  throw refuse(`one that writes ${JSON.stringify(text)} where ${JSON.stringify(end)} should end it`)
}
const cutStart = (text: string, start: string): string => {
  if (text.startsWith(start)) return text.slice(start.length)
  throw refuse(`one that writes ${JSON.stringify(text)} where ${JSON.stringify(start)} should begin it`)
}

/** What Ollama will make of a conversation. */
const compose = (form: Form, messages: readonly ChatMessage[], ask: boolean): string => {
  const given =
    messages[0]?.role === 'system' || form.defaultSystem === undefined
      ? messages
      : [say('system', form.defaultSystem), ...messages]
  const texts = given.map(({ role, content }) => {
    const [before, after] = form[role as 'system' | 'user' | 'assistant']!
    return `${before}${content}${after}`
  })
  return `${form.begin}${texts.join('')}${ask ? form.opening : ''}`
}

const checkForm = (render: Render, form: Form): void => {
  const long = [
    say('user', 'One?\nTwo?'),
    say('assistant', 'Yes.'),
    say('user', '3'),
    say('assistant', '4'),
    say('user', 'é'),
  ]
  const talks = [long.slice(0, 1), long.slice(0, 3), long]
  const all = form.system ? [...talks, ...talks.map((talk) => [say('system', 'Be brief.'), ...talk])] : talks
  for (const talk of all) {
    const rendered = render(talk, true)
    if (rendered !== render(talk, true, new Date(4e12))) throw refuse('one that says the date')
    const made = compose(form, talk, true)
    if (rendered !== made)
      throw refuse(
        `one that writes ${JSON.stringify(rendered)} where message by message it were ${JSON.stringify(made)}`,
      )
  }
}

const addedBos = ({ bosId, encode, tokenOf }: Tokenizer): string | undefined =>
  bosId !== undefined && encode('a')[0] === bosId ? tokenOf(bosId) : undefined

/** As a value of a template: there a line break or a space is what it is, wherever it stands. */
const literal = (text: string): string => (text === '' ? '' : `{{ ${JSON.stringify(text)} }}`)
