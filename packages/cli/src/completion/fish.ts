import type { Command, Complete } from '../command.ts'

/** One `complete` line for each thing that fish may offer. */
export const fishCompletion = (commands: Readonly<Record<string, Command>>): string =>
  ['complete -c graft -f', ...Object.entries(commands).flatMap(linesOf), ''].join('\n')

const linesOf = ([name, { summary, options, operands = [] }]: [string, Command]): string[] => {
  const within = `complete -c graft -n '__fish_seen_subcommand_from ${name}'`
  return [
    `complete -c graft -n __fish_use_subcommand -a ${name} -d ${quoted(summary)}`,
    ...Object.entries(options).map(
      ([option, { value, about, complete }]) =>
        `${within} -l ${option}${value ? ` -x${offered(complete)}` : ''} -d ${quoted(about)}`,
    ),
    ...operands.map(({ complete }) => `${within}${offered(complete)}`),
  ]
}

const offered = (complete: Complete | undefined): string => {
  if (complete === 'file') return " -a '(__fish_complete_path)'"
  if (complete === 'folder') return " -a '(__fish_complete_directories)'"
  return complete ? ` -a ${quoted(complete.join(' '))}` : ''
}

const quoted = (text: string): string => `'${text.replaceAll(/[\\']/g, (c) => `\\${c}`)}'`
