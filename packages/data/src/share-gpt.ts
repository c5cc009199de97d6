import { badRow, type Conversation, conversation, isObject } from './example.ts'

const roles: Readonly<Record<string, string>> = {
  human: 'user',
  user: 'user',
  gpt: 'assistant',
  assistant: 'assistant',
  chatgpt: 'assistant',
  model: 'assistant',
  bot: 'assistant',
  system: 'system',
  tool: 'tool',
  observation: 'tool',
  function_response: 'tool',
}

/** A ShareGPT row, `{ conversations: [{ from, value }] }`, as messages. */
export const shareGpt = (
  { conversations, tools, system }: Readonly<Record<string, unknown>>,
  culprit: string,
): Conversation => {
  if (!Array.isArray(conversations))
    throw badRow(`${culprit}: conversations`, typeof conversations, 'a list of { from, value }')
  const messages = conversations.map((turn: unknown, i) => {
    const where = `${culprit}: conversations[${i}]`
    if (!isObject(turn)) throw badRow(where, JSON.stringify(turn), 'an object with from and value')
    const role = typeof turn.from === 'string' && Object.hasOwn(roles, turn.from) ? roles[turn.from] : undefined
    if (role === undefined)
      throw badRow(`${where}: from`, JSON.stringify(turn.from) ?? 'nothing', `one of ${Object.keys(roles).join(', ')}`)
    if (typeof turn.value !== 'string') throw badRow(`${where}: value`, typeof turn.value, 'a text')
    return { role, content: turn.value }
  })
  // Some files keep the system message in a column of its own.
  const opening = typeof system === 'string' && system !== '' ? [{ role: 'system', content: system }] : []
  return conversation({ messages: [...opening, ...messages], ...(Array.isArray(tools) && { tools }) }, culprit)
}
