import type { Command, Complete } from '../command.ts'

/** A function for zsh; it may be sourced after compinit or lie in a folder of fpath as `_graft`. */
export const zshCompletion = (commands: Readonly<Record<string, Command>>): string => `#compdef graft
_graft() {
  local -a names
  names=(
${Object.entries(commands)
  .map(([name, { summary }]) => `    ${quoted(`${name}:${escaped(summary)}`)}`)
  .join('\n')}
  )
  if (( CURRENT == 2 )); then
    _describe 'command' names
    return
  fi
  local name="\${words[2]}"
  shift words
  (( CURRENT-- ))
  case "$name" in
${Object.entries(commands).map(argumentsOf).join('\n')}
  esac
}
if [ "$funcstack[1]" = "_graft" ]; then _graft "$@"; else compdef _graft graft; fi
`

const argumentsOf = ([name, { options, operands = [] }]: [string, Command]): string => {
  const specs = [
    ...Object.entries(options).map(
      ([option, { value, about, complete }]) =>
        `--${option}[${escaped(about)}]${value ? `:${escaped(value)}:${action(complete)}` : ''}`,
    ),
    ...operands.map(
      ({ name: operand, optional, complete }, i) => `${i + 1}:${optional ? ':' : ''}${operand}:${action(complete)}`,
    ),
  ]
  return `    ${name}) _arguments ${[...specs, '--help[says more]'].map(quoted).join(' ')} ;;`
}

const action = (complete: Complete | undefined): string => {
  if (complete === 'file') return '_files'
  if (complete === 'folder') return '_files -/'
  return complete ? `(${complete.join(' ')})` : ' '
}

const escaped = (text: string): string => text.replaceAll(/[\\:[\]]/g, (c) => `\\${c}`)
const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`
