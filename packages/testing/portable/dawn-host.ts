import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { findBrowser, softwareVulkan } from '../../../scripts/browser.mjs'
import type { Host } from './host.ts'
import type { Message } from './protocol.ts'

const program = fileURLToPath(new URL('dawn-process.ts', import.meta.url))

/**
 * The cases in Node on Dawn, in a process of their own: a native crash or hang ends that one only. The driver is the software
 * one that a browser brings with it; without one the machine's own GPU may do.
 */
export const dawnHost =
  (browser = findBrowser()): Host =>
  async (target, tell) => {
    const child = fork(program, [JSON.stringify(target)], {
      execArgv: ['--conditions=@graftjs/source', '--disable-warning=ExperimentalWarning'],
      env: { ...process.env, ...(browser && softwareVulkan(browser)) },
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    })
    let log = ''
    child.stderr!.on('data', (text) => {
      log = (log + text).slice(-2000)
    })
    child.on('message', (message) => tell(message as Message))
    child.once('error', (error) => tell({ type: 'fatal', error: error.message }))
    child.once('exit', (code, signal) =>
      tell({ type: 'fatal', error: `the process ended by itself (${signal ?? code}) and said:\n${log}` }),
    )
    return {
      stop: async () => {
        if (child.exitCode !== null || child.signalCode !== null) return
        const gone = once(child, 'exit')
        child.kill('SIGKILL')
        await gone
      },
    }
  }
