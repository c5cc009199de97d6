import type { ChatMessage, Tokenizer } from '@graftjs/text'
import { tooLong } from './answer.ts'

export interface Conversation {
  readonly system: string | undefined
  setSystem(text: string | undefined): void
  /** Forgets what was said; the system message stays. */
  reset(): void
  /** The prompt that answers `text`; says how many of the oldest turns were left out to make room for `reserve` tokens. */
  ask(text: string, reserve: number): { readonly ids: number[]; readonly dropped: number }
  /** What the assistant said to the last `ask`. */
  answered(text: string): void
}

/** What was said so far, in a context of so many tokens. */
export const conversation = (tokenizer: Tokenizer, context: number, first?: string): Conversation => {
  let system = first
  let turns: readonly ChatMessage[] = []
  let asked = turns
  const idsOf = (said: readonly ChatMessage[]): number[] =>
    tokenizer.encodeChat([...(system === undefined ? [] : [{ role: 'system', content: system }]), ...said], {
      addGenerationPrompt: true,
    })
  return {
    get system() {
      return system
    },
    setSystem: (text) => {
      system = text
    },
    reset: () => {
      turns = []
    },
    ask: (text, reserve) => {
      const next = [...turns, { role: 'user', content: text }]
      for (let from = 0; from < next.length; from += 2) {
        const said = next.slice(from)
        const ids = idsOf(said)
        // Of the last message alone, any room will do.
        if (ids.length + (said.length > 1 ? reserve : 1) > context) continue
        asked = said
        return { ids, dropped: from / 2 }
      }
      throw tooLong('the message', idsOf(next.slice(-1)).length, context)
    },
    answered: (text) => {
      turns = [...asked, { role: 'assistant', content: text }]
    },
  }
}
