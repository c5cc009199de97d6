// What the pages for method authors say of this package is compared with it.
import * as tensorEntry from '@graftjs/tensor'
import { describe, expect, it } from 'vitest'
import * as entry from '../../src/index.ts'
import * as vitestEntry from '../../src/vitest.ts'
import { callsOf, codeLines, exportsOf, misquoted, type Quote, quotesOf, read } from './page.ts'

const { checks, standIns } = entry

const tutorial = read('docs/methods/write-your-own.md')
const reference = read('docs/reference/testing.md')
const standInsPage = read('docs/methods/stand-ins.md')
const tensorPage = read('docs/reference/tensor.md')

const names = (page: string, name: string): boolean => new RegExp(`\`${name}\``).test(page)

describe('quotes in the tutorial', () => {
  const quotes = quotesOf(tutorial)

  it.each(quotes.map((quote, i) => [`${i + 1}: ${quote.file}`, quote] as const))('%s', (_, quote) => {
    expect(misquoted(quote, read(quote.file))).toEqual([])
  })

  it('are as many as the page has blocks that name a file; a changed line is seen, and one out of order', () => {
    expect(quotes.length).toBe(tutorial.match(/^\/\/ packages\//gm)!.length)
    const quote: Quote = { file: 'x.ts', lines: ['const a = 1', 'const b = 2'] }
    expect(misquoted(quote, '  const a = 1\n  const c = 3\n  const b = 2')).toEqual([])
    expect(misquoted(quote, 'const a = 1\nconst b = 3')).toEqual(['const b = 2'])
    expect(misquoted(quote, 'const b = 2\nconst a = 1')).toEqual(['const b = 2'])
  })
})

describe('the page of stand-ins', () => {
  const rows = [...standInsPage.matchAll(/^\| `([\w-]+)` \|.* (\d+) \| .*`(packages\/\S+)` \|$/gm)].map(
    ([, name, lines, file]) => ({ name: name!, lines: Number(lines), file: file! }),
  )

  it('has a row for each', () => {
    expect(rows.map(({ name }) => name).sort()).toEqual(standIns.map(([method]) => method.name).sort())
  })

  // A few lines more or less are no news.
  it.each(rows)('says about how long $name is', ({ lines, file }) => {
    const now = codeLines(read(file))
    expect(Math.abs(now - lines), `${file} has ${now} lines`).toBeLessThanOrEqual(5 + now / 10)
  })

  it('says who promises which gains, if not all', () => {
    const said = [...standInsPage.matchAll(/^\| `gains: '(\w+)'` \| (.*?) \|/gm)].flatMap(([, gains, list]) =>
      [...list!.matchAll(/`([\w-]+)`/g)].map(([, name]) => `${name} ${gains}`),
    )
    const made = standIns.flatMap(([{ name }, { gains }]) => (gains && gains !== 'any' ? [`${name} ${gains}`] : []))
    expect(said.sort()).toEqual(made.sort())
  })
})

describe('the reference', () => {
  it.each([
    ['index.ts', entry],
    ['vitest.ts', vitestEntry],
  ] as const)('names every export of %s', (file, module) => {
    const exported = exportsOf(`packages/testing/src/${file}`)
    // Whatever the source looks like, what it exports at run time is among them.
    expect(exported).toEqual(expect.arrayContaining(Object.keys(module)))
    expect(exported.filter((name) => !new RegExp(`\\b${name}\\b`).test(reference))).toEqual([])
  })

  it('has every check', () => {
    expect(Object.keys(checks).filter((check) => !names(reference, check))).toEqual([])
  })

  it('and the tutorial have every promise', () => {
    const source = read('packages/testing/src/conformance/promises.ts')
    const [, body] = /export interface Promises \{([\s\S]*?)\n\}/.exec(source)!
    const promises = [...body!.matchAll(/readonly (\w+)\?:/g)].map(([, name]) => name!)
    expect(promises.length).toBeGreaterThan(5)
    for (const page of [tutorial, reference]) expect(promises.filter((name) => !names(page, name))).toEqual([])
  })
})

describe('the reference of tensor', () => {
  const exported = exportsOf('packages/tensor/src/index.ts')

  it('names every export', () => {
    expect(exported).toEqual(expect.arrayContaining(Object.keys(tensorEntry)))
    expect(exported).toEqual(expect.arrayContaining(['Tensor', 'OpDef', 'TapeNode']))
    expect(exported.filter((name) => !new RegExp(`\\b${name}\\b`).test(tensorPage))).toEqual([])
  })

  it('shows how every op is called', () => {
    const calls = callsOf('packages/tensor/src/ops.ts')
    expect(calls).toEqual(expect.arrayContaining(['linear(x, w)', 'squeeze(x, axes?)', 'concat(xs, axis = -1)']))
    const ops = exportsOf('packages/tensor/src/ops.ts').filter((name) => name in tensorEntry)
    expect(calls.map((call) => call.split('(')[0]).sort()).toEqual(ops.sort())
    expect(calls.filter((call) => !tensorPage.includes(`\`${call}\``))).toEqual([])
  })
})
