/**
 * What a worker runs, as text: it runs from any bundle, and nothing has to find a file. A trap is written where the main
 * thread reads it after the dispatch; the worker then serves on.
 */
export const workerProgram = `
const serve = (start, ready) => {
  const words = new Int32Array(start.memory.buffer, 0, 512)
  const instance = new WebAssembly.Instance(start.module, { env: { memory: start.memory, abort: () => {} } })
  let seen = Atomics.load(words, 1152 >> 2)
  ready()
  for (;;) {
    try {
      instance.exports.serve(start.thread, seen)
      break
    } catch (error) {
      const text = new TextEncoder().encode(String(error && error.message || error)).slice(0, start.errorBytes)
      new Uint8Array(start.memory.buffer).set(text, start.error)
      Atomics.store(words, start.errorLength >> 2, text.length)
      seen = Atomics.load(words, 1152 >> 2)
      Atomics.add(words, start.done >> 2, 1)
    }
  }
}
`
