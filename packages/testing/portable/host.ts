import type { Message, Target } from './protocol.ts'

/** An environment under way. `stop` ends it and everything it has started, whatever state it is in. */
export interface Environment {
  stop(): Promise<void>
}

/** Starts an environment, which then tells what its cases do. */
export type Host = (target: Target, tell: (message: Message) => void) => Promise<Environment>
