// Compiles assembly/ to one module a variant, inlined as base64 in src/simd/wasm/. Skipped while nothing has changed.
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { microKernel } from './micro-kernel.mjs'

const here = dirname(fileURLToPath(import.meta.url))
const assembly = join(here, '../assembly')
const out = join(here, '../src/simd/wasm')

/** What differs between the variants: how a product is added, and the tile. */
const variants = {
  plain: { madd: 'madd-plain', vectors: 2 },
  relaxed: { madd: 'madd-relaxed', vectors: 2 },
  wide: { madd: 'madd-relaxed', vectors: 4 },
}

const files = readdirSync(assembly).sort()
const hash = createHash('sha256')
  .update(readFileSync(fileURLToPath(import.meta.url)))
  .update(microKernel(6, 2))
for (const file of files) hash.update(file).update(readFileSync(join(assembly, file)))
const stamp = hash.digest('hex')
const stampFile = join(out, 'stamp')

const compile = async (asc, { madd, vectors }) => {
  let wasm
  const errors = []
  const { error } = await asc.main(
    ['index.ts', '--outFile', 'out.wasm', '--runtime', 'stub', '-O3', '--noAssert', '--converge'].concat(
      [
        '--importMemory',
        '--sharedMemory',
        '--initialMemory',
        '16',
        '--maximumMemory',
        '65536',
        '--memoryBase',
        '65536',
      ],
      ['--enable', 'simd,threads,relaxed-simd,bulk-memory'],
    ),
    {
      readFile: (name) => {
        if (name === 'micro.ts') return microKernel(6, vectors)
        const file = name === 'madd.ts' ? `${madd}.ts` : name
        return existsSync(join(assembly, file)) ? readFileSync(join(assembly, file), 'utf8') : null
      },
      writeFile: (name, data) => {
        if (name === 'out.wasm') wasm = Buffer.from(data)
      },
      listFiles: () => [],
      stderr: { write: (text) => errors.push(text) },
    },
  )
  if (error) throw new Error(`${error.message}\n${errors.join('')}`)
  return wasm
}

if (!existsSync(stampFile) || readFileSync(stampFile, 'utf8') !== stamp) {
  const asc = (await import('assemblyscript/asc')).default
  mkdirSync(out, { recursive: true })
  for (const [name, parts] of Object.entries(variants)) {
    const wasm = await compile(asc, parts)
    writeFileSync(join(out, `${name}.ts`), `export const bytes = '${wasm.toString('base64')}'\n`)
    process.stdout.write(`${name}: ${wasm.length} bytes\n`)
  }
  writeFileSync(stampFile, stamp)
}
