import type { Command } from './command.ts'
import { chat } from './commands/chat.ts'
import { completion } from './commands/completion.ts'
import { data } from './commands/data.ts'
import { devices } from './commands/devices.ts'
import { generate } from './commands/generate.ts'
import { inspect } from './commands/inspect.ts'
import { logits } from './commands/logits.ts'
import { merge } from './commands/merge.ts'
import { newRecipe } from './commands/new.ts'
import { train } from './commands/train.ts'

/** Every command by its name, as the overview lists them. */
export const commands: Readonly<Record<string, Command>> = {
  new: newRecipe,
  data,
  train,
  chat,
  generate,
  merge,
  inspect,
  logits,
  devices,
  completion: completion(() => commands),
}
