import { isGraftError } from '@graftjs/tensor/error'
import { helpOf, parse } from './command.ts'
import { commands } from './commands.ts'
import { nearKey } from './near-key.ts'

const usage = (): string =>
  [
    'graft: tune a pretrained transformer on your own data',
    '',
    ...Object.entries(commands).map(([name, { summary }]) => `  graft ${name.padEnd(10)} ${summary}`),
    '',
    'graft COMMAND --help says more. JSON goes to stdout (--json), everything else to stderr.',
  ].join('\n')

/** Runs one command line and returns the exit code. Only here does anything of Graft print. */
export const main = async (argv: readonly string[]): Promise<number> => {
  // `graft help train` is `graft train --help`.
  const [name, ...args] = argv[0] === 'help' && argv[1] ? [argv[1], '--help'] : argv
  if (!name || name === '--help' || name === '-h' || name === 'help') {
    process.stdout.write(`${usage()}\n`)
    return name ? 0 : 2
  }
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined
  if (!command) {
    const close = nearKey(name, Object.keys(commands))
    process.stderr.write(
      `graft: no command ${name}${close.length ? `; did you mean ${close.join(' or ')}?` : ''}\n\n${usage()}\n`,
    )
    return 2
  }
  if (args.includes('--help') || args.includes('-h')) {
    process.stdout.write(`${helpOf(name, command)}\n`)
    return 0
  }
  try {
    return (await command.run(parse(args, command))) ?? 0
  } catch (error) {
    process.stderr.write(`graft ${name}: ${oneLine(error)}\n`)
    if (process.env.GRAFT_DEBUG) process.stderr.write(`${(error as Error).stack}\n`)
    return 1
  }
}

const oneLine = (error: unknown): string => {
  const text = error instanceof Error ? error.message : String(error)
  // A fault of ours names what is wrong; anything else is a bug, and its class helps to report it.
  return isGraftError(error)
    ? text
    : `${(error as Error)?.name ?? 'Error'}: ${text.split('\n')[0]} (GRAFT_DEBUG=1 shows where)`
}
