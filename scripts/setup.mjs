// Brings what a clean clone lacks: pnpm's install (Node 24 comes with it as a dependency), then the generated modules.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const PNPM = 'pnpm@10.34.8'
const stampFile = join(root, 'node_modules/.graft-setup')

/** The environment of every script: Node 24 and the workspace's tools first on the path. */
export const env = {
  ...process.env,
  PATH: `${join(root, 'node_modules/.bin')}:${process.env.PATH}`,
  // Colour codes in a log help nobody. (FORCE_COLOR=0 would switch vitest's on.)
  ...(process.stdout.isTTY ? {} : { NO_COLOR: '1' }),
  TURBO_TELEMETRY_DISABLED: '1',
}

/** The Node that comes with the workspace. */
export const node24 = join(root, 'node_modules/node/bin/node')

/** Runs a command to its end, its output passed through; ends this process if it fails. */
export const run = (command, args, options = {}) => {
  const { status, error } = spawnSync(command, args, { cwd: root, env, stdio: 'inherit', ...options })
  if (error) fail(`${command}: ${error.message}`)
  if (status !== 0) process.exit(status ?? 1)
}

/** Ends this process with a message. */
export const fail = (message) => {
  process.stderr.write(`graft set-up: ${message}\n`)
  process.exit(1)
}

const quiet = (what, command, args) => {
  const { status, stdout, stderr, error } = spawnSync(command, args, { cwd: root, env, encoding: 'utf8' })
  if (error || status !== 0)
    fail(`${what} failed (${command} ${args.join(' ')})\n${error?.message ?? ''}${stdout ?? ''}${stderr ?? ''}`)
}

/** Once per lock file: what has been set up is not set up again. */
export const setup = () => {
  if (Number(process.versions.node.split('.')[0]) < 20)
    fail(`Node ${process.versions.node} runs this; Graft needs Node 20 or later`)
  const stamp = createHash('sha256')
    .update(readFileSync(join(root, 'pnpm-lock.yaml')))
    .digest('hex')
  const done = existsSync(stampFile) && readFileSync(stampFile, 'utf8') === stamp
  if (!done) {
    process.stderr.write('Setting up the workspace (once; a minute or two) …\n')
    quiet('the install', 'npx', ['--yes', PNPM, 'install', '--frozen-lockfile', '--prefer-offline'])
  }
  // Both scripts end at once where nothing has changed.
  quiet('the gradients bundle', node24, [join(root, 'packages/tensor/scripts/build-gradients.mjs')])
  quiet('the kernels', node24, [join(root, 'packages/kernels/scripts/build-wasm.mjs')])
  if (!done) {
    mkdirSync(dirname(stampFile), { recursive: true })
    writeFileSync(stampFile, stamp)
  }
}
