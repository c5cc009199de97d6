import { GraftError } from '@graftjs/tensor/error'
import type { Platform } from './platform.ts'
import { workerProgram } from './worker-program.ts'

const program = `${workerProgram}
onmessage = ({ data }) => serve(data, () => postMessage('ready'))
`

/** A page's policy may forbid workers made from text. */
const refused = (cause: unknown, given = 'a worker that did not start'): GraftError =>
  new GraftError({
    code: 'unsupported',
    culprit: 'threads',
    given,
    expected: "a Content-Security-Policy with worker-src blob: and script-src 'wasm-unsafe-eval', or threads: 1",
    cause,
  })

/** Pages and Web Workers. */
export const platform: Platform = {
  sharesMemory: () => globalThis.crossOriginIsolated === true,
  cores: async () => globalThis.navigator?.hardwareConcurrency ?? 1,
  revectorize: async () => false,

  startWorker: async (start) => {
    const address = URL.createObjectURL(new Blob([program], { type: 'text/javascript' }))
    let worker: Worker | undefined
    try {
      const started = new Worker(address)
      worker = started
      await new Promise<void>((resolve, reject) => {
        started.onmessage = () => resolve()
        started.onerror = (event) => reject(refused(event, event.message))
        started.postMessage(start)
      })
      return { stop: () => started.terminate() }
    } catch (cause) {
      worker?.terminate()
      throw cause instanceof GraftError ? cause : refused(cause)
    } finally {
      URL.revokeObjectURL(address)
    }
  },
}
