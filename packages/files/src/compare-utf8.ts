/** The order of two strings by code points, which is that of their UTF-8 bytes: Python and Rust sort so, JavaScript by UTF-16 units. */
export const compareUtf8 = (a: string, b: string): number => {
  for (let i = 0; i < a.length && i < b.length; i++) {
    const [x, y] = [a.charCodeAt(i), b.charCodeAt(i)]
    if (x === y) continue
    // Of two different units a surrogate is part of the greater code point, unless both are surrogates.
    return isSurrogate(x) === isSurrogate(y) ? x - y : isSurrogate(x) ? 1 : -1
  }
  return a.length - b.length
}

const isSurrogate = (unit: number): boolean => (unit & 0xf800) === 0xd800
