import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { cacheDir } from '@graftjs/files'

const version = '3.22.1'
const binaries: Readonly<Record<string, string>> = {
  'linux-x64': 'linux-x64',
  'linux-arm64': 'linux-arm64',
  'darwin-arm64': 'mac-arm64-metal',
  'darwin-x64': 'mac-x64',
  'win32-x64': 'win-x64',
}

/** Installs llama.cpp for Node beside the other downloads, once: 85 MB that the repository's own packages need not carry. */
const installed = (): string => {
  const folder = join(cacheDir(), `node-llama-cpp-${version}`)
  if (existsSync(join(folder, 'node_modules', 'node-llama-cpp'))) return folder
  mkdirSync(folder, { recursive: true })
  const binary = binaries[`${process.platform}-${process.arch}`]
  if (!binary) throw new Error(`node-llama-cpp has no binary for ${process.platform}-${process.arch}`)
  const packages = ['node-llama-cpp', `@node-llama-cpp/${binary}`].map((name) => `${name}@${version}`)
  const options = ['--prefix', folder, '--omit=optional', '--ignore-scripts', '--no-audit', '--no-fund']
  execFileSync('npm', ['install', ...options, ...packages], { stdio: 'ignore', timeout: 300_000 })
  return folder
}

const script = `
import { getLlama } from 'node-llama-cpp'
const [modelPath, prompts, count, lora] = process.argv.slice(2)
const llama = await getLlama({ gpu: false, maxThreads: 2, build: 'never', progressLogs: false, logLevel: 'error' })
const model = await llama.loadModel({ modelPath })
const context = await model.createContext({ contextSize: 256, ...(lora && { lora: { adapters: [{ filePath: lora, scale: 1 }] } }) })
const made = []
for (const ids of JSON.parse(prompts)) {
  const sequence = context.getSequence()
  const row = []
  for await (const id of sequence.evaluate(ids, { temperature: 0 })) {
    row.push(id)
    if (row.length >= Number(count)) break
  }
  sequence.dispose()
  made.push(row)
}
console.log(JSON.stringify({ made, encoded: model.tokenize('Roses are red,\\n 12 naïve 日本') }))
process.exit(0)
`

export interface Continued {
  /** New tokens of each prompt, the likeliest each time. */
  readonly made: number[][]
  /** The ids of `Roses are red,\n 12 naïve 日本`. */
  readonly encoded: number[]
}

/** What llama.cpp makes of a GGUF file, with a LoRA beside it or none: greedy tokens after each prompt, and its own encoding of a text. */
export const llamaCpp = (
  path: string,
  prompts: readonly (readonly number[])[],
  count: number,
  lora?: string,
): Continued => {
  const cwd = installed()
  // A file and not -e: node-llama-cpp starts processes of its own with the same arguments.
  writeFileSync(join(cwd, 'continue.mjs'), script)
  const args = ['continue.mjs', path, JSON.stringify(prompts), String(count), ...(lora ? [lora] : [])]
  const out = execFileSync(process.execPath, args, { cwd, encoding: 'utf8', timeout: 200_000 })
  return JSON.parse(out.trim().split('\n').at(-1)!) as Continued
}
