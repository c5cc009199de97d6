import { GraftError } from './error.ts'

/** A stream of random numbers that depends on (seed, path) alone: adding a layer moves no other layer's numbers. */
export interface Random {
  /** The next number of [0, 1), 24 bits. */
  uniform(): number
  /** The next standard normal number. */
  normal(): number
  /** The next whole number of [0, n). */
  int(n: number): number
  /** Overwrites `out` with the next `out.length` numbers. */
  fill(out: Float32Array, kind: 'uniform' | 'normal'): Float32Array
}

/** Philox4x32-10 (Salmon et al. 2011): block `counter` of the stream with this key. */
export const philox = (counter: number, key0: number, key1: number, out: Uint32Array): void => {
  let [c0, c1, c2, c3] = [counter >>> 0, Math.floor(counter / 2 ** 32) >>> 0, 0, 0]
  let [k0, k1] = [key0 >>> 0, key1 >>> 0]
  for (let round = 0; round < 10; round++) {
    const hi0 = mulHigh(0xd2511f53, c0)
    const lo0 = Math.imul(0xd2511f53, c0) >>> 0
    const hi1 = mulHigh(0xcd9e8d57, c2)
    const lo1 = Math.imul(0xcd9e8d57, c2) >>> 0
    c0 = (hi1 ^ c1 ^ k0) >>> 0
    c1 = lo1
    c2 = (hi0 ^ c3 ^ k1) >>> 0
    c3 = lo0
    k0 = (k0 + 0x9e3779b9) >>> 0
    k1 = (k1 + 0xbb67ae85) >>> 0
  }
  out[0] = c0
  out[1] = c1
  out[2] = c2
  out[3] = c3
}

/** The high 32 bits of a 32 × 32 bit product. */
const mulHigh = (a: number, b: number): number => {
  const [ah, al, bh, bl] = [a >>> 16, a & 0xffff, b >>> 16, b & 0xffff]
  const low = al * bl
  const mid1 = ah * bl + (low >>> 16)
  const mid2 = al * bh + (mid1 & 0xffff)
  return (ah * bh + Math.floor(mid1 / 0x10000) + (mid2 >>> 16)) >>> 0
}

/** FNV-1a over the UTF-16 units, stirred so that near paths lie far apart. */
export const hashString = (text: string, basis = 0x811c9dc5): number => {
  let h = basis >>> 0
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193)
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}

/** The stream of `path` under `seed`, the same bits on every machine (normals: on every engine with V8's log and cos). */
export const random = (seed: number, path: string): Random => {
  if (!Number.isSafeInteger(seed) || seed < 0)
    throw new GraftError({ code: 'bad-option', culprit: 'seed', given: String(seed), expected: 'a whole number ≥ 0' })
  const key0 = (hashString(path) ^ seed) >>> 0
  const key1 = (hashString(path, 0x9747b28c) ^ Math.floor(seed / 2 ** 32)) >>> 0
  const block = new Uint32Array(4)
  let [counter, at] = [0, 4]
  const word = (): number => {
    if (at === 4) {
      philox(counter++, key0, key1, block)
      at = 0
    }
    return block[at++]!
  }
  const uniform = (): number => (word() >>> 8) / 2 ** 24
  // Box and Muller (1958); 1 - u keeps the logarithm's argument off zero.
  const normal = (): number => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform())
  return {
    uniform,
    normal,
    int: (n) => Math.floor(((word() >>> 0) / 2 ** 32) * n),
    fill: (out, kind) => {
      const next = kind === 'uniform' ? uniform : normal
      for (let i = 0; i < out.length; i++) out[i] = next()
      return out
    },
  }
}
