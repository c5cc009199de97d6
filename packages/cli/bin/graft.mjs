#!/usr/bin/env node
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { constants } from 'node:os'
import { fileURLToPath } from 'node:url'

const at = (path) => fileURLToPath(new URL(path, import.meta.url))
const built = at('../dist/main.js')
const node24 = at('../../../node_modules/node/bin/node')

if (existsSync(built)) {
  const { main } = await import('../dist/main.js')
  process.exitCode = await main(process.argv.slice(2))
} else {
  // A checkout that was not built: its own Node 24 runs the source.
  const args = [
    '--conditions=@graftjs/source',
    '--disable-warning=ExperimentalWarning',
    at('../src/bin.ts'),
    ...process.argv.slice(2),
  ]
  const child = spawn(existsSync(node24) ? node24 : process.execPath, args, { stdio: 'inherit' })
  // The command may have something to finish: this process ends when that one does.
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal))
  process.exitCode = await new Promise((resolve) => {
    child.on('error', () => resolve(1))
    child.on('exit', (code, signal) => resolve(code ?? 128 + (constants.signals[signal] ?? 0)))
  })
}
