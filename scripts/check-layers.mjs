// Imports go down the layers, never up or sideways. Reads the import statements themselves; package.json states the layer.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

const packageFolders = (root) =>
  ['packages', 'packages/methods'].flatMap((parent) =>
    existsSync(join(root, parent))
      ? readdirSync(join(root, parent))
          .map((name) => join(root, parent, name))
          .filter((dir) => existsSync(join(dir, 'package.json')))
      : [],
  )

const sources = (dir) =>
  readdirSync(dir, { withFileTypes: true }).flatMap((entry) => {
    if (entry.isDirectory())
      return ['node_modules', 'dist', 'generated', 'wasm'].includes(entry.name) ? [] : sources(join(dir, entry.name))
    return /\.(ts|mjs)$/.test(entry.name) ? [join(dir, entry.name)] : []
  })

const IMPORT = /(?:import|export)\s[^'"`;]*?from\s*['"]([^'"]+)['"]|import\s*\(?\s*['"]([^'"]+)['"]/g

// A type goes when the source is stripped, and what a function imports is its own affair.
const STATIC_NODE =
  /(?:^|[\n;])\s*(?:import|export)\s(?!type\b)[^'"`;]*?from\s*['"](node:[^'"]+)['"]|(?:^|[\n;])\s*import\s*['"](node:[^'"]+)['"]/g

/** Packages that may lean on Node as they are imported; all others must load in a browser. */
const OF_NODE = ['@graftjs/files', '@graftjs/cli']

/** One line a fault: an import that goes up or sideways, that package.json does not state, or that only Node can follow. */
export const layerFaults = (root) => {
  const packages = new Map(
    packageFolders(root).map((dir) => {
      const json = JSON.parse(readFileSync(join(dir, 'package.json'), 'utf8'))
      return [json.name, { dir, json, layer: json.graft?.layer }]
    }),
  )
  const faults = []
  for (const [name, { dir, json, layer }] of packages) {
    if (layer === undefined) faults.push(`${name}: package.json states no graft.layer`)
    for (const file of existsSync(join(dir, 'src')) ? sources(join(dir, 'src')) : []) {
      const test = /\.test(-util)?\.ts$/.test(file)
      const source = readFileSync(file, 'utf8')
      if (!test && !OF_NODE.includes(name))
        for (const [, from, bare] of source.matchAll(STATIC_NODE))
          faults.push(
            `${relative(root, file)}: imports ${from ?? bare} at its top level; ${name} must load in a browser`,
          )
      for (const match of source.matchAll(IMPORT)) {
        const target = [...packages.keys()].find(
          (p) => (match[1] ?? match[2]) === p || (match[1] ?? match[2]).startsWith(`${p}/`),
        )
        if (!target || target === name) continue
        const where = `${relative(root, file)}: imports ${target}`
        const to = packages.get(target).layer
        if (to >= layer) faults.push(`${where} (layer ${to}) from layer ${layer}; imports go down`)
        const stated = { ...json.dependencies, ...(test ? json.devDependencies : {}) }
        if (!stated[target]) faults.push(`${where}, which its package.json does not state`)
      }
    }
  }
  return faults
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const faults = layerFaults(join(dirname(fileURLToPath(import.meta.url)), '..'))
  for (const fault of faults) console.error(fault)
  process.exit(faults.length ? 1 : 0)
}
