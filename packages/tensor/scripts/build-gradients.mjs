// Bundles tfjs-core's own gradient registration into one module that Node can import (see src/register.ts).
import { existsSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const out = join(dirname(fileURLToPath(import.meta.url)), '../src/generated/stock-gradients.js')
const core = dirname(createRequire(import.meta.url).resolve('@tensorflow/tfjs-core/package.json'))
if (!existsSync(out)) {
  await build({
    entryPoints: [join(core, 'dist/register_all_gradients.js')],
    outfile: out,
    bundle: true,
    format: 'esm',
    platform: 'neutral',
    mainFields: ['module', 'main'],
    minify: true,
    legalComments: 'inline',
    logLevel: 'error',
  })
  writeFileSync(out.replace(/js$/, 'd.ts'), 'export {}\n')
}
