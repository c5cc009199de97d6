// Type-checks the TypeScript in the documentation against the workspace's sources.
//
// Every ```ts block of a page is checked; ```ts no-check ones are not. Blocks named alike, ```ts [tune.ts], are parts of
// one file; the others of the page may import it as './tune.ts'. What a block takes for given stands in a comment
// before it, which no reader sees: <!-- ts: declare const rows: PromptCompletion[] -->
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import ts from 'typescript'

/** Pages by path from the root, all Markdown below docs/ and the README. */
export const pagesOf = (root: string): Map<string, string> => {
  const below = readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.md') && !/node_modules|\.vitepress/.test(file))
    .map((file) => join('docs', file))
  return new Map(['README.md', ...below.sort()].map((file) => [file, readFileSync(join(root, file), 'utf8')]))
}

interface Part {
  /** Absent: a file of its own. */
  readonly name?: string | undefined
  /** Line numbers from 0, as in the page. */
  readonly lines: readonly (readonly [number, string])[]
}

const FENCE = /^(`{3,})(\S*)\s*(.*)$/
const GIVEN = /^<!-- ts: (.*) -->$/

/** The blocks of a page that are to be checked. */
export const blocksOf = (page: string): Part[] => {
  const parts: Part[] = []
  let given: [number, string][] = []
  let open: { fence: string; checked: boolean; name: string | undefined; lines: [number, string][] } | undefined
  for (const [at, text] of page.split('\n').entries()) {
    if (open) {
      if (text.trim() !== open.fence) open.lines.push([at, text])
      else {
        if (open.checked) parts.push({ name: open.name, lines: open.lines })
        open = undefined
      }
      continue
    }
    const [, before] = GIVEN.exec(text) ?? []
    if (before !== undefined) {
      given.push([at, before])
      continue
    }
    const [, fence, language = '', info = ''] = FENCE.exec(text) ?? []
    if (fence) {
      const checked = ['ts', 'typescript'].includes(language) && info !== 'no-check'
      open = { fence, checked, name: /\[([\w-]+\.ts)\]/.exec(info)?.[1], lines: [...given] }
    }
    // What is given is given to the block that follows at once.
    if (text.trim() !== '') given = []
  }
  return parts
}

/** The files that a page's blocks make. Each line keeps its number, so that a fault is found in the page. */
const filesOf = (path: string, page: string): Map<string, string> => {
  const files = new Map<string, (readonly [number, string])[]>()
  for (const [i, { name, lines }] of blocksOf(page).entries()) {
    const file = `${path}.blocks/${name ?? `${i}.block.ts`}`
    files.set(file, [...(files.get(file) ?? []), ...lines])
  }
  return new Map([...files].map(([file, lines]) => [file, placed(lines)]))
}

const placed = (lines: readonly (readonly [number, string])[]): string => {
  const text: string[] = []
  for (const [at, line] of lines) text[at] = line
  return `${Array.from(text, (line) => line ?? '').join('\n')}\nexport {}\n`
}

/** One line a fault: `docs/page.md:12: …`. */
export const docFaults = (root: string, pages: ReadonlyMap<string, string>): string[] => {
  const files = new Map<string, string>()
  const pageOf = new Map<string, string>()
  for (const [path, page] of pages)
    for (const [file, text] of filesOf(path, page)) {
      files.set(join(root, file), text)
      pageOf.set(join(root, file), path)
    }
  const options = optionsOf(root)
  const host = ts.createCompilerHost(options)
  const { fileExists, readFile, getSourceFile, directoryExists } = host
  const folders = new Set([...files.keys()].map((file) => file.replace(/\/[^/]*$/, '')))
  host.fileExists = (file) => files.has(file) || fileExists(file)
  host.directoryExists = (folder) => folders.has(folder) || directoryExists!(folder)
  host.readFile = (file) => files.get(file) ?? readFile(file)
  host.getSourceFile = (file, target, ...rest) =>
    files.has(file) ? ts.createSourceFile(file, files.get(file)!, target) : getSourceFile(file, target, ...rest)
  const program = ts.createProgram([...files.keys()], options, host)
  return [...files.keys()].flatMap((file) => {
    const source = program.getSourceFile(file)!
    const broken = program.getSyntacticDiagnostics(source)
    const found = broken.length ? broken : program.getSemanticDiagnostics(source)
    return found.map(({ start = 0, messageText }) => {
      const { line } = ts.getLineAndCharacterOfPosition(source, start)
      return `${pageOf.get(file)}:${line + 1}: ${ts.flattenDiagnosticMessageText(messageText, ' ')}`
    })
  })
}

/** The names that an entry of a package exports. */
export const exportsOf = (root: string, entry: string): string[] => {
  const options = optionsOf(root)
  const [file] = options.paths![entry]!
  const program = ts.createProgram([file!], options)
  const checker = program.getTypeChecker()
  const module = checker.getSymbolAtLocation(program.getSourceFile(file!)!)!
  return checker.getExportsOfModule(module).map(({ name }) => name)
}

const optionsOf = (root: string): ts.CompilerOptions => {
  const { config } = ts.readConfigFile(join(root, 'tooling/tsconfig/base.json'), ts.sys.readFile)
  const { options } = ts.convertCompilerOptionsFromJson(config.compilerOptions, root)
  // A page shows a value and leaves it there.
  return { ...options, noUnusedLocals: false, paths: sourcesOf(root) }
}

/** Where each entry of the workspace's packages is written: `@graftjs/core` -> packages/core/src/index.ts. */
const sourcesOf = (root: string): Record<string, string[]> => {
  const folders = ['packages', 'packages/methods'].flatMap((parent) =>
    readdirSync(join(root, parent)).map((name) => join(root, parent, name)),
  )
  const entries = folders.flatMap((folder) => {
    const json = ts.sys.readFile(join(folder, 'package.json'))
    if (json === undefined) return []
    const { name, exports = {} } = JSON.parse(json) as Package
    return Object.entries(exports).flatMap(([entry, to]) => {
      const source = typeof to === 'object' ? to['@graftjs/source'] : undefined
      return source ? [[name + entry.slice(1), [join(folder, source)]] as const] : []
    })
  })
  return Object.fromEntries(entries)
}

interface Package {
  readonly name: string
  readonly exports?: Readonly<Record<string, string | Readonly<Record<string, string>>>>
}
