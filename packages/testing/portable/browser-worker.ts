import type { Message, Target } from './protocol.ts'
import { runCases } from './run-cases.ts'

/** The Web Worker's entry; browser-host.ts bundles and serves it. */
const tell = async (message: Message): Promise<void> => {
  await fetch('/tell', { method: 'POST', body: JSON.stringify(message) })
}
// The page names the worker after the target.
void runCases(JSON.parse(self.name) as Target, tell)
