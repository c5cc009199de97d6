import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const root = fileURLToPath(new URL('../../../..', import.meta.url))
export const read = (path: string): string => readFileSync(join(root, path), 'utf8')

/** A page's named blocks as files, those of one name put together. Throws where one of `wanted` is missing. */
export const namedBlocks = (page: string, wanted: readonly string[]): Map<string, string> => {
  const files = new Map<string, string>()
  for (const [, name, text] of page.matchAll(/^```ts \[([\w-]+\.ts)\]\n([\s\S]*?)^```$/gm))
    files.set(name!, `${files.get(name!) ?? ''}${text}`)
  const missing = wanted.filter((name) => !files.has(name))
  if (missing.length) throw new Error(`the page has no block ${missing.join(', ')}; it has ${[...files.keys()]}`)
  return files
}

/** The files, written beside this one, where the workspace's packages resolve, and imported as they stand. */
export const imported = async (
  files: ReadonlyMap<string, string>,
  names: readonly string[],
): Promise<Record<string, Record<string, unknown>>> => {
  const parent = fileURLToPath(new URL('.generated', import.meta.url))
  mkdirSync(parent, { recursive: true })
  const dir = mkdtempSync(join(parent, 'page-'))
  try {
    for (const [name, text] of files) writeFileSync(join(dir, name), text)
    const modules: Record<string, Record<string, unknown>> = {}
    for (const name of names) modules[name] = await import(/* @vite-ignore */ pathToFileURL(join(dir, name)).href)
    return modules
  } finally {
    rmSync(dir, { recursive: true })
  }
}

export interface Quote {
  readonly file: string
  readonly lines: readonly string[]
}

/** Blocks whose first line names the file that they are quoted from. A line with nothing but … leaves something out. */
export const quotesOf = (page: string): Quote[] =>
  [...page.matchAll(/^```ts no-check\n\/\/ (packages\/\S+)\n([\s\S]*?)^```$/gm)].map(([, file, text]) => ({
    file: file!,
    lines: text!
      .split('\n')
      .map((line) => line.trim())
      .filter((line) => line !== '' && line !== '…'),
  }))

/** The lines of a quote that its file does not have, in this order. */
export const misquoted = ({ lines }: Quote, source: string): string[] => {
  const there = source.split('\n').map((line) => line.trim())
  let from = 0
  return lines.filter((line) => {
    const at = there.indexOf(line, from)
    if (at >= 0) from = at + 1
    return at < 0
  })
}

/** Lines that hold code. */
export const codeLines = (source: string): number =>
  source
    .replace(/\/\*[\s\S]*?\*\//g, '')
    .split('\n')
    .filter((line) => line.trim() !== '' && !line.trim().startsWith('//')).length

/** The names that an index file exports, types too, `export *` followed. */
export const exportsOf = (path: string): string[] => {
  const source = read(path).replace(/\/\*[\s\S]*?\*\//g, '')
  const starred = [...source.matchAll(/^export (?:type )?\* from '(\..*)'/gm)]
  const spaces = [...source.matchAll(/^export \* as (\w+) from/gm)]
  const lists = [...source.matchAll(/^export (?:type )?\{([^}]*)\}/gm)]
  const declared = [...source.matchAll(/^export (?:const|interface|type|function|class) (\w+)/gm)]
  return [
    ...starred.flatMap(([, from]) => exportsOf(join(dirname(path), from!))),
    ...[...spaces, ...declared].map(([, name]) => name!),
    ...lists.flatMap(([, list]) => list!.split(',').map((entry) => entry.trim().split(/\s+/).at(-1)!)).filter(Boolean),
  ]
}

/** How each function that a file exports is called, as its source declares it: `concat(xs, axis = -1)`. */
export const callsOf = (path: string): string[] =>
  [...read(path).matchAll(/^export const (\w+) = (?:<\w+>)?\((.*?)\): /gm)].map(
    ([, name, args]) => `${name}(${args!.split(', ').filter(Boolean).map(argument).join(', ')})`,
  )

/** `axis: number = -1` and `axis?: number` without the type. */
const argument = (declared: string): string => {
  const [, name] = /^(\w+\??)/.exec(declared)!
  const [, otherwise] = / = (.*)$/.exec(declared) ?? []
  return otherwise === undefined ? name! : `${name} = ${otherwise}`
}
