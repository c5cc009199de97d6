import { Worker } from 'node:worker_threads'
import type { Message, Target } from './protocol.ts'
import { runCases } from './run-cases.ts'

/** The entry of the process that runs the cases in Node on WebGPU through Dawn; dawn-host.ts starts it. */
const tell = (message: Message): Promise<void> =>
  new Promise((resolve, reject) => process.send!(message, (error: Error | null) => (error ? reject(error) : resolve())))

// Where the test process dies, this one goes too, even while a driver hangs in it: a thread of its own looks.
const watch = `setInterval((parent) => { if (process.ppid !== parent) process.kill(process.pid, 'SIGKILL') }, 500, process.ppid)`
new Worker(watch, { eval: true, execArgv: [] }).unref()

const dawn = await import('webgpu').catch((error: Error) => error)
if (dawn instanceof Error) await tell({ type: 'unavailable', reason: `npm's webgpu has no Dawn here: ${dawn.message}` })
else {
  Object.assign(globalThis, dawn.globals)
  const gpu = dawn.create([])
  // Node has a navigator from version 21 on.
  if (globalThis.navigator) Object.defineProperty(navigator, 'gpu', { value: gpu, configurable: true })
  else Object.assign(globalThis, { navigator: { gpu } })
  await runCases(JSON.parse(process.argv[2]!) as Target, tell)
}
// Dawn keeps the process alive.
process.exit()
