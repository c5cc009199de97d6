import type { Command, Complete } from '../command.ts'

/** A function for bash (3.2 or newer); file names are left to bash itself, which quotes them as they need. */
export const bashCompletion = (commands: Readonly<Record<string, Command>>): string => `_graft() {
  local cur="\${COMP_WORDS[COMP_CWORD]}" prev="\${COMP_WORDS[COMP_CWORD-1]}" words='' i operand=0
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W '${Object.keys(commands).join(' ')} --help' -- "$cur"))
    return
  fi
  case "\${COMP_WORDS[1]} $prev" in
${Object.entries(commands)
  .flatMap(([name, { options }]) => valueCases(name, options))
  .join('\n')}
  esac
  case "$cur" in
    -*)
      case "\${COMP_WORDS[1]}" in
${Object.entries(commands)
  .map(([name, command]) => `        ${name}) words='${optionNames(command).join(' ')}' ;;`)
  .join('\n')}
      esac
      COMPREPLY=($(compgen -W "$words" -- "$cur"))
      return ;;
  esac
  for ((i = 2; i < COMP_CWORD; i++)); do
    case "\${COMP_WORDS[1]} \${COMP_WORDS[i]}" in
${Object.entries(commands)
  .flatMap(([name, command]) => skipCase(name, command))
  .join('\n')}
      *' '-*) ;;
      *) operand=$((operand + 1)) ;;
    esac
  done
  case "\${COMP_WORDS[1]} $operand" in
${Object.entries(commands)
  .flatMap(([name, command]) => operandCases(name, command))
  .join('\n')}
    *) compopt +o default 2>/dev/null ;;
  esac
}
complete -o default -F _graft graft
`

const optionNames = ({ options }: Command): string[] => [...Object.keys(options).map((name) => `--${name}`), '--help']

const valueCases = (name: string, options: Command['options']): string[] =>
  Object.entries(options)
    .filter(([, { value }]) => value)
    .map(([option, { complete }]) => `    '${name} --${option}') ${offered(complete)}; return ;;`)

/** The value of an option is no operand. */
const skipCase = (name: string, { options }: Command): string[] => {
  const withValue = Object.entries(options).filter(([, { value }]) => value)
  return withValue.length === 0
    ? []
    : [`      ${withValue.map(([option]) => `'${name} --${option}'`).join(' | ')}) i=$((i + 1)) ;;`]
}

const operandCases = (name: string, { operands = [] }: Command): string[] =>
  operands.map(({ complete }, i) => `    '${name} ${i}') ${offered(complete)} ;;`)

const offered = (complete: Complete | undefined): string => {
  if (complete === 'file') return ':'
  if (complete === 'folder') return 'compopt -o dirnames +o default 2>/dev/null'
  return complete ? `COMPREPLY=($(compgen -W '${complete.join(' ')}' -- "$cur"))` : 'compopt +o default 2>/dev/null'
}
