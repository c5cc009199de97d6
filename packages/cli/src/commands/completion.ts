import { GraftError } from '@graftjs/tensor/error'
import type { Command } from '../command.ts'
import { bashCompletion } from '../completion/bash.ts'
import { fishCompletion } from '../completion/fish.ts'
import { zshCompletion } from '../completion/zsh.ts'

const shells: Record<string, (commands: Readonly<Record<string, Command>>) => string> = {
  bash: bashCompletion,
  zsh: zshCompletion,
  fish: fishCompletion,
}

/** `commands` is asked when the command runs: it is one of them. */
export const completion = (commands: () => Readonly<Record<string, Command>>): Command => ({
  summary: 'print a script that completes commands in your shell',
  usage: ['bash|zsh|fish'],
  about: `Bash:  source <(graft completion bash)     in ~/.bashrc
Zsh:   source <(graft completion zsh)      in ~/.zshrc, after compinit
Fish:  graft completion fish | source      in ~/.config/fish/config.fish`,
  options: {},
  operands: [{ name: 'SHELL', complete: Object.keys(shells) }],
  run: async ({ operands: [shell] }) => {
    const make = Object.hasOwn(shells, shell!) ? shells[shell!] : undefined
    if (!make)
      throw new GraftError({
        code: 'bad-option',
        culprit: 'SHELL',
        given: JSON.stringify(shell),
        expected: Object.keys(shells).join(', '),
      })
    process.stdout.write(make(commands()))
  },
})
