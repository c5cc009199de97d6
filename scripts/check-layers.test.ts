import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
// @ts-expect-error: a plain script without types
import { layerFaults } from './check-layers.mjs'

const made: string[] = []
afterEach(() => {
  for (const dir of made.splice(0)) rmSync(dir, { recursive: true })
})

const workspace = (source: string, dependencies: Record<string, string>): string => {
  const root = mkdtempSync(join(tmpdir(), 'graft-layers-'))
  made.push(root)
  const add = (name: string, layer: number, text: string, deps: Record<string, string> = {}) => {
    mkdirSync(join(root, 'packages', name, 'src'), { recursive: true })
    writeFileSync(
      join(root, 'packages', name, 'package.json'),
      JSON.stringify({ name: `@graftjs/${name}`, graft: { layer }, dependencies: deps }),
    )
    writeFileSync(join(root, 'packages', name, 'src/index.ts'), text)
  }
  add('low', 0, 'export const a = 1')
  add('mid', 1, source, dependencies)
  add('high', 2, 'export const c = 3')
  add('beside', 1, 'export const d = 4')
  return root
}
const stated = { '@graftjs/low': '*', '@graftjs/high': '*', '@graftjs/beside': '*' }

describe('the layer check', () => {
  it('lets imports go down', () => {
    expect(layerFaults(workspace("import { a } from '@graftjs/low'\nexport { a }", stated))).toEqual([])
  })

  it.each([
    ['up', "import { c } from '@graftjs/high'", 'imports @graftjs/high (layer 2) from layer 1'],
    ['sideways', "export * from '@graftjs/beside'", 'imports @graftjs/beside (layer 1) from layer 1'],
    ['up, dynamically', "await import('@graftjs/high')", 'imports @graftjs/high (layer 2)'],
    ['up, by a subpath', "import type { c } from '@graftjs/high/x'", 'imports @graftjs/high (layer 2)'],
  ])('sees one that goes %s', (_, source, fault) => {
    expect(layerFaults(workspace(source, stated)).join()).toContain(fault)
  })

  it('sees one that package.json does not state', () => {
    expect(layerFaults(workspace("import { a } from '@graftjs/low'", {})).join()).toContain('does not state')
  })

  it.each([
    ['named', "import { join } from 'node:path'"],
    ['for its effect', "const a = 1\nimport 'node:process'"],
    ['handed on, over lines', "export {\n  join,\n} from 'node:path'"],
    ['with a type beside it', "import { type Stats, statSync } from 'node:fs'"],
  ])("sees an import of Node's at the top level: %s", (_, source) => {
    expect(layerFaults(workspace(source, stated)).join()).toMatch(
      /^packages\/mid\/src\/index\.ts: imports node:\w+ at its top level; @graftjs\/mid must load in a browser$/,
    )
  })

  it.each([
    ['a type', "import type { Stats } from 'node:fs'"],
    ['an import inside a function', "export const f = async () => (await import('node:fs')).statSync"],
    ['a text', "export const program = `\nconst { Worker } = require('node:worker_threads')\n`"],
  ])('lets be %s', (_, source) => {
    expect(layerFaults(workspace(source, stated))).toEqual([])
  })

  it('knows that files and cli are of Node', () => {
    const root = workspace('', stated)
    mkdirSync(join(root, 'packages/files/src'), { recursive: true })
    writeFileSync(
      join(root, 'packages/files/package.json'),
      JSON.stringify({ name: '@graftjs/files', graft: { layer: 2 } }),
    )
    writeFileSync(join(root, 'packages/files/src/index.ts'), "import { join } from 'node:path'")
    expect(layerFaults(root)).toEqual([])
  })
})
