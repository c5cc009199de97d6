import type { ChatMessage } from '@graftjs/text'

/** Renders messages; `open` ends with the opening of an answer. */
export type Render = (messages: readonly ChatMessage[], open: boolean) => string

/** Not a character of any text: the template can only copy it. */
export const STAND_IN = '\uE123'

/** The messages with what is said in some of them replaced. */
export const replaced = (messages: readonly ChatMessage[], which: (turn: number) => boolean): ChatMessage[] =>
  messages.map((message, i) => {
    if (!which(i)) return message
    const content = Array.isArray(message.content) ? [{ type: 'text', text: STAND_IN }] : STAND_IN
    return { ...message, content }
  })

/** The same, with the stand-in as the name of each function called. */
const renamed = (messages: readonly ChatMessage[], turn: number): ChatMessage[] =>
  messages.map((message, i) => {
    const calls: unknown = message.tool_calls
    if (i !== turn || !Array.isArray(calls)) return message
    return {
      ...message,
      tool_calls: calls.map((call: { function?: object }) =>
        call.function ? { ...call, function: { ...call.function, name: STAND_IN } } : { ...call, name: STAND_IN },
      ),
    }
  })

/** Undefined where the template refuses the messages. */
export const changedText = (render: Render, messages: readonly ChatMessage[]): string | undefined => {
  try {
    return render(messages, false)
  } catch {
    return undefined
  }
}

/** What of `text`, which renders `messages`, changes with what turn `turn` says or calls; undefined if nothing does. */
export const varying = (
  render: Render,
  messages: readonly ChatMessage[],
  turn: number,
  text: string,
): [number, number] | undefined => {
  const changes = [() => replaced(messages, (i) => i === turn), () => renamed(messages, turn)]
  for (const change of changes) {
    const other = changedText(render, change())
    if (other === undefined || other === text) continue
    const from = commonPrefix(text, other)
    return [from, text.length - Math.min(commonSuffix(text, other), text.length - from)]
  }
  return undefined
}

export const commonPrefix = (a: string, b: string): number => {
  let n = 0
  while (n < a.length && n < b.length && a[n] === b[n]) n++
  return n
}
const commonSuffix = (a: string, b: string): number => {
  let n = 0
  while (n < a.length && n < b.length && a[a.length - 1 - n] === b[b.length - 1 - n]) n++
  return n
}
