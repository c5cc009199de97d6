/** The tensor types whose bytes are read. */
export const readableTypes = [
  'F32',
  'F16',
  'BF16',
  'Q4_0',
  'Q4_1',
  'Q5_0',
  'Q5_1',
  'Q8_0',
  'Q2_K',
  'Q3_K',
  'Q4_K',
  'Q5_K',
  'Q6_K',
] as const
export type GgufType = (typeof readableTypes)[number]
export const isReadable = (type: string): type is GgufType => (readableTypes as readonly string[]).includes(type)

/** How a tensor type lies in a file: so many numbers in so many bytes. */
export interface GgufLayout {
  readonly name: string
  readonly numbers: number
  readonly bytes: number
}

/** The types of ggml by their number. Those that are not read are still known, so that the others of their file can be. */
const layouts: Readonly<Record<number, readonly [name: string, numbers: number, bytes: number]>> = {
  0: ['F32', 1, 4],
  1: ['F16', 1, 2],
  2: ['Q4_0', 32, 18],
  3: ['Q4_1', 32, 20],
  6: ['Q5_0', 32, 22],
  7: ['Q5_1', 32, 24],
  8: ['Q8_0', 32, 34],
  9: ['Q8_1', 32, 36],
  10: ['Q2_K', 256, 84],
  11: ['Q3_K', 256, 110],
  12: ['Q4_K', 256, 144],
  13: ['Q5_K', 256, 176],
  14: ['Q6_K', 256, 210],
  15: ['Q8_K', 256, 292],
  16: ['IQ2_XXS', 256, 66],
  17: ['IQ2_XS', 256, 74],
  18: ['IQ3_XXS', 256, 98],
  19: ['IQ1_S', 256, 50],
  20: ['IQ4_NL', 32, 18],
  21: ['IQ3_S', 256, 110],
  22: ['IQ2_S', 256, 82],
  23: ['IQ4_XS', 256, 136],
  24: ['I8', 1, 1],
  25: ['I16', 1, 2],
  26: ['I32', 1, 4],
  27: ['I64', 1, 8],
  28: ['F64', 1, 8],
  29: ['IQ1_M', 256, 56],
  30: ['BF16', 1, 2],
  34: ['TQ1_0', 256, 54],
  35: ['TQ2_0', 256, 66],
  39: ['MXFP4', 32, 17],
  40: ['NVFP4', 64, 36],
}

export const layoutById = (id: number): GgufLayout | undefined => {
  const [name, numbers, bytes] = layouts[id] ?? []
  return name === undefined ? undefined : { name, numbers: numbers!, bytes: bytes! }
}

const ids = new Map(Object.entries(layouts).map(([id, [name]]) => [name, Number(id)]))
export const ggufLayout = (type: GgufType): GgufLayout => layoutById(ids.get(type)!)!
/** The number that a file gives a type. */
export const ggufTypeId = (type: GgufType): number => ids.get(type)!
