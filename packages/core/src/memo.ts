/** `make` once for each key: what several sites share (tied weights, one network for all layers). */
export const memo = <T, V>(keyOf: (item: T) => string, make: (item: T) => V): ((item: T) => V) => {
  const made = new Map<string, { readonly value: V }>()
  return (item) => {
    const key = keyOf(item)
    const found = made.get(key) ?? { value: make(item) }
    made.set(key, found)
    return found.value
  }
}
