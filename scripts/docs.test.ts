import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { readRecipe } from '../packages/cli/src/recipe.ts'
import { blocksOf, docFaults, exportsOf, pagesOf } from './check-docs.ts'

const root = fileURLToPath(new URL('..', import.meta.url))

/** Pages with faults planted in them: none of these may go unseen. */
const planted = {
  'docs/wrong-type.md': ['A page.', '', '```ts', 'const a: number = 1', 'const b: string = a + 1', '```'],
  'docs/no-such-name.md': ['```ts', "import { noSuchName } from '@graftjs/core'", '```'],
  'docs/no-such-option.md': ['```ts', "import { lora } from '@graftjs/lora'", 'lora({ rank: 8 })', '```'],
  'docs/syntax.md': ['```ts', '}', '```'],
  'docs/not-given.md': [
    '<!-- ts: declare const rows: string[] -->',
    'Text between.',
    '',
    '```ts',
    'rows.length',
    '```',
  ],
  'docs/other-file.md': ['```ts', "import { a } from './parts.ts'", '```'],
  'docs/signature.md': [
    "<!-- ts: import * as core from '@graftjs/core'; import type { Model, Output } from '@graftjs/core' -->",
    '<!-- ts: [core.forward] satisfies [typeof forward] -->',
    '',
    '```ts',
    'declare function forward(model: Model, prompt: string): Output',
    '```',
  ],
}

/** Pages that are right. */
const sound = {
  'docs/given.md': ['<!-- ts: declare const rows: string[] -->', '', '```ts', 'rows.length', '```'],
  'docs/parts.md': [
    '```ts [parts.ts]',
    'export const a = 1',
    '```',
    '```ts [parts.ts]',
    'export const b = a + 1',
    '```',
    '```ts',
    "import { b } from './parts.ts'",
    'const c: number = b',
    '```',
  ],
  'docs/unchecked.md': ['```ts no-check', 'const a: string = 1', '```', '```js', 'const = 3', '```'],
}

const pages = (texts: Readonly<Record<string, readonly string[]>>): Map<string, string> =>
  new Map(Object.entries(texts).map(([path, lines]) => [path, lines.join('\n')]))

describe('the documentation', () => {
  const written = pagesOf(root)

  it('holds TypeScript that type-checks against the sources; a fault names its page and line', () => {
    const faults = docFaults(root, new Map([...written, ...pages(planted), ...pages(sound)]))
    const isPlanted = (fault: string): boolean => fault.split(':')[0]! in planted
    expect(faults.filter((fault) => !isPlanted(fault))).toEqual([])
    expect(faults.filter(isPlanted)).toEqual([
      expect.stringMatching(/^docs\/wrong-type.md:5: Type 'number' is not assignable to type 'string'/),
      expect.stringMatching(/^docs\/no-such-name.md:2: .*noSuchName/),
      expect.stringMatching(/^docs\/no-such-option.md:3: .*'rank' does not exist/),
      expect.stringMatching(/^docs\/syntax.md:2: /),
      expect.stringMatching(/^docs\/not-given.md:5: Cannot find name 'rows'/),
      expect.stringMatching(/^docs\/other-file.md:2: .*parts.ts/),
      expect.stringMatching(/^docs\/signature.md:2: .*not assignable/),
    ])
  })

  it('has blocks to check in the README and in the pages', () => {
    for (const page of ['README.md', 'docs/index.md', 'docs/getting-started.md', 'docs/reference/core.md'])
      expect(blocksOf(written.get(page)!), page).not.toEqual([])
  })

  it.each(['core', 'core/check'])('names every export of @graftjs/%s in its reference', (entry) => {
    const page = written.get('docs/reference/core.md')!
    expect(exportsOf(root, `@graftjs/${entry}`).filter((name) => !new RegExp(`\\b${name}\\b`).test(page))).toEqual([])
  })

  it('shows recipes that `graft train` takes', () => {
    const recipes = [...written].flatMap(([page, text]) =>
      [...text.matchAll(/```json\n(\{\n {2}"format": "graft-recipe"[^`]*)```/g)].map(
        ([, json]) => [page, json!] as const,
      ),
    )
    expect(recipes.length).toBeGreaterThan(2)
    for (const [page, json] of recipes) expect(readRecipe(json, page)).toMatchObject({ version: 1 })
  })

  it('has a page for every link of the side bar, and a link for every page', () => {
    const config = readFileSync(join(root, 'docs/.vitepress/config.ts'), 'utf8')
    const linked = [...config.matchAll(/link: '(\/[^']*)'/g)].map(([, link]) => link!.replace(/\/$/, '/index'))
    const found = [...written.keys()].filter((page) => page !== 'README.md').map((page) => page.slice(4, -3))
    expect([...new Set(linked)].sort()).toEqual(found.sort())
  })
})
