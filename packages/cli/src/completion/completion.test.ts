import { execFileSync } from 'node:child_process'
import { describe, expect, it } from 'vitest'
import { commands } from '../commands.ts'
import { bashCompletion } from './bash.ts'
import { fishCompletion } from './fish.ts'
import { zshCompletion } from './zsh.ts'

/** What bash offers where the last of these words is being typed; all in one shell. */
const inBash = (lines: readonly (readonly string[])[]): string[] => {
  const asked = lines.map((words) => {
    const list = ['graft', ...words].map((word) => `'${word}'`).join(' ')
    return `COMP_WORDS=(${list}); COMP_CWORD=${words.length}; _graft; echo "\${COMPREPLY[*]}"`
  })
  const script = [bashCompletion(commands), ...asked].join('\n')
  return execFileSync('bash', ['-c', script], { encoding: 'utf8' }).trimEnd().split('\n')
}
const has = (shell: string): boolean => {
  try {
    execFileSync(shell, ['--version'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

describe('completion', () => {
  it('completes commands, options, values and operands in bash, by the tables of the commands', () => {
    const cases: [string[], string][] = [
      [['tr'], 'train'],
      [[''], `${Object.keys(commands).join(' ')} --help`],
      [['generate', '--t'], '--temperature --top-k --top-p'],
      [['merge', '--dtype', ''], 'f32 f16 bf16 q8_0 q4_0 q4_1'],
      [['merge', '--model', 'x', '--dtype', 'b'], 'bf16'],
      [['completion', 'z'], 'zsh'],
      [['new', '--method', ''], 'lora molora mov'],
      // A free value, and an operand too many: nothing.
      [['generate', '--seed', ''], ''],
      [['completion', 'zsh', ''], ''],
      // A file: bash itself completes it.
      [['inspect', ''], ''],
      ...Object.entries(commands).map(([name, { options }]): [string[], string] => [
        [name, '-'],
        [...Object.keys(options).map((option) => `--${option}`), '--help'].join(' '),
      ]),
    ]
    const found = inBash(cases.map(([words]) => words))
    for (const [i, [words, wanted]] of cases.entries()) expect(found[i] ?? '', words.join(' ')).toBe(wanted)
  })

  it('names every command and option in each shell', () => {
    for (const [shell, make] of Object.entries({ bash: bashCompletion, zsh: zshCompletion, fish: fishCompletion }))
      for (const [name, { options }] of Object.entries(commands)) {
        expect(make(commands), shell).toContain(name)
        for (const option of Object.keys(options)) expect(make(commands), `${shell} ${name}`).toContain(option)
      }
  })

  it.runIf(has('zsh'))('is zsh that zsh can read (where it is installed)', () => {
    execFileSync('zsh', ['-n'], { input: zshCompletion(commands) })
  })
  it.runIf(has('fish'))('is fish that fish can read (where it is installed)', () => {
    execFileSync('fish', ['-n'], { input: fishCompletion(commands) })
  })

  it('quotes what a shell would take for its own', () => {
    const odd = {
      it: {
        summary: "it's [odd]: $HOME `x`",
        usage: [''],
        about: '',
        options: { a: { about: "don't $(echo) [this]: now", value: 'X' } },
        run: async () => {},
      },
    }
    expect(fishCompletion(odd)).toContain("-d 'don\\'t $(echo) [this]: now'")
    expect(zshCompletion(odd)).toContain("'--a[don'\\''t $(echo) \\[this\\]\\: now]:X: '")
    execFileSync('bash', ['-n'], { input: bashCompletion(odd) })
  })
})
