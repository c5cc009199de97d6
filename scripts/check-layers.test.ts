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
})
