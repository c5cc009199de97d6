import type { Platform } from './platform.ts'
import { workerProgram } from './worker-program.ts'

const program = `
const { workerData: start, parentPort } = require('node:worker_threads')
if (start.revectorize) require('node:v8').setFlagsFromString('--experimental-wasm-revectorize')
${workerProgram}
serve(start, () => parentPort.postMessage('ready'))
`

export const platform: Platform = {
  sharesMemory: () => true,

  // Node tells of itself in `navigator` from version 21 on only.
  cores: async () => (await import('node:os')).availableParallelism(),

  revectorize: async () => {
    // V8 13 is the first whose revectorizer was measured; an unknown flag would only print a warning.
    if (process.arch !== 'x64' || Number.parseInt(process.versions.v8 ?? '0', 10) < 13) return false
    const v8 = await import('node:v8')
    v8.setFlagsFromString('--experimental-wasm-revectorize')
    return true
  },

  startWorker: async (start) => {
    const { Worker } = await import('node:worker_threads')
    const worker = new Worker(program, { eval: true, workerData: start, execArgv: [] })
    await new Promise<void>((resolve, reject) => {
      worker.once('message', () => resolve())
      worker.once('error', reject)
    })
    // A waiting worker must not keep the process alive.
    worker.unref()
    return { stop: () => void worker.terminate() }
  },
}
