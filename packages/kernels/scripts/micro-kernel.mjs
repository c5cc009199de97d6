/**
 * The source of a micro-kernel: one tile of `rows` by 4 · `vectors` columns, the whole of K in one go, A packed [K][rows] and B
 * packed [K][4 · vectors]. AssemblyScript has no macros, so the unrolled body is written here. V8's revectorizer widens pairs of
 * neighbouring 16-byte stores and all that leads to them: pairs stay together and nothing branches.
 */
export const microKernel = (rows, vectors) => {
  const each = (count, line) => Array.from({ length: count }, (_, i) => line(i)).join('\n')
  const tile = (line) => each(rows, (r) => each(vectors, (v) => line(r, v)))
  const body = (value) => `
${tile((r, v) => `  let c${r}${v} = f32x4.splat(0)`)}
  for (let i: i32 = 0; i < k; i++) {
${each(vectors, (v) => `    const b${v} = v128.load(b, ${16 * v})`)}
${each(rows, (r) => `    const a${r} = v128.load32_splat(a, ${4 * r})\n${each(vectors, (v) => `    c${r}${v} = madd(a${r}, b${v}, c${r}${v})`)}`)}
    a += ${4 * rows}
    b += ${16 * vectors}
  }
${each(rows, (r) => `${each(vectors, (v) => `  v128.store(c, ${value(r, v)}, ${16 * v})`)}\n  c += ldc`)}`
  return `import { madd } from './madd'
export const MR: i32 = ${rows}
export const NR: i32 = ${4 * vectors}
/** C = A·B */
export function micro(k: i32, a: usize, b: usize, c: usize, ldc: usize): void {${body((r, v) => `c${r}${v}`)}
}
/** C += A·B */
export function microAdd(k: i32, a: usize, b: usize, c: usize, ldc: usize): void {${body((r, v) => `f32x4.add(c${r}${v}, v128.load(c, ${16 * v}))`)}
}
`
}
