/** Gives the pieces of a body to `take`, one after another. A body that is silent for `stallMs` milliseconds is an error. */
export const readBody = async (
  body: ReadableStream<Uint8Array>,
  stallMs: number,
  take: (bytes: Uint8Array) => void,
): Promise<void> => {
  const reader = body.getReader()
  const cancel = (): Promise<void> => reader.cancel().catch(() => {})
  let silent = false
  const stop = (): void => {
    silent = true
    void cancel()
  }
  let timer = setTimeout(stop, stallMs)
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (silent) throw new Error(`the answer stopped half-way: no byte for ${stallMs / 1000} s`)
      if (done) return
      take(value)
      clearTimeout(timer)
      timer = setTimeout(stop, stallMs)
    }
  } catch (error) {
    await cancel()
    throw error
  } finally {
    clearTimeout(timer)
  }
}
