import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { build, type Plugin } from 'esbuild'
import type { Mutation } from './mutations.ts'

const core = fileURLToPath(new URL('../../core/src/', import.meta.url))
const suite = fileURLToPath(new URL('mutant-suite.ts', import.meta.url))
const MINUTES = 3

/** What the suite saw first; null: nothing. */
export type Seen = { readonly name: string; readonly error: string } | null

/** The source with the mutation in it. Throws where its text is not found exactly once. */
export const mutate = (source: string, { name, file, from, to }: Mutation): string => {
  const parts = source.split(from)
  if (parts.length === 2) return parts.join(to)
  throw new Error(`mutation "${name}": ${file} holds its text ${parts.length - 1} times; it must hold it once`)
}

/** Bundles the real executor with the fault (none: as it is) and the suite, and runs that in a process of its own. */
export const runMutant = async (mutation?: Mutation): Promise<Seen> => {
  const dir = await mkdtemp(join(tmpdir(), 'graft-mutant-'))
  try {
    const { outputFiles } = await build({
      entryPoints: [suite],
      bundle: true,
      write: false,
      format: 'esm',
      platform: 'node',
      target: 'es2022',
      conditions: ['@graftjs/source'],
      // tfjs as ES modules: one engine for all that is bundled.
      mainFields: ['module', 'main'],
      external: ['node:*'],
      // tfjs's CommonJS parts ask for Node's modules by name.
      banner: { js: "import { createRequire } from 'node:module'; const require = createRequire('file:///');" },
      plugins: mutation ? [planted(mutation)] : [],
      logLevel: 'silent',
    })
    const file = join(dir, 'mutant.mjs')
    await writeFile(file, outputFiles[0]!.text)
    const { stdout } = await promisify(execFile)(process.execPath, [file], { timeout: MINUTES * 60_000 })
    return JSON.parse(stdout.trim().split('\n').at(-1)!) as Seen
  } catch (error) {
    // A mutant that hangs is seen; one that does not start is a fault of ours.
    if (!(error as { killed?: boolean }).killed) throw error
    return { name: 'the clock', error: `still running after ${MINUTES} minutes` }
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
}

const planted = (mutation: Mutation): Plugin => ({
  name: 'mutation',
  setup: ({ onLoad, onEnd }) => {
    let loaded = false
    onLoad({ filter: /\.ts$/ }, async ({ path }) => {
      if (path !== join(core, mutation.file)) return undefined
      loaded = true
      return { contents: mutate(await readFile(path, 'utf8'), mutation), loader: 'ts' }
    })
    onEnd(() => {
      if (!loaded) throw new Error(`mutation "${mutation.name}": the bundle does not hold core/src/${mutation.file}`)
    })
  },
})
