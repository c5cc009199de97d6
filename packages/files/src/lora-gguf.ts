import { GraftError } from '@graftjs/tensor/error'
import type { AdapterFolder } from './adapter-folder.ts'
import { dequantize } from './dequantize.ts'
import type { Gguf } from './gguf.ts'
import { type GgufNames, ggufNames } from './gguf-names.ts'
import type { GgufType } from './gguf-types.ts'
import { type GgufEntry, ggufValue } from './gguf-value.ts'
import { interleaveRows, partRows } from './interleave-rows.ts'
import { type LoraPair, loraConfigOf, loraPairs } from './lora-pairs.ts'
import { fromFloat32, type NamedTensor } from './named-tensor.ts'
import { quantize } from './quantize.ts'
import type { GgufContent, GgufOutput } from './write-gguf.ts'

/** Of the base model: a LoRA file does not say it, and llama's queries and keys have an order of rows by heads. */
export interface LoraBase {
  /** `general.architecture`: llama, qwen2 or qwen3. */
  readonly architecture: string
  readonly heads: number
  readonly keyValueHeads: number
}

/**
 * A LoRA as llama.cpp's convert_lora_to_gguf.py writes it, for `writeGguf`: pairs of `<weight>.lora_a` [rank, in] and
 * `<weight>.lora_b` [out, rank] in float32, and `adapter.lora.alpha`. llama.cpp adds alpha / rank · B A; what a layer's scale
 * differs from that goes into its B.
 * Errors: those of `loraPairs`, and `not-saveable` for a layer or an architecture without a name in GGUF.
 */
export const loraToGguf = (adapter: AdapterFolder, base: LoraBase): GgufContent => {
  const names = namesOf(base.architecture)
  const pairs = loraPairs(adapter)
  // An alpha of 0 means none to llama.cpp, and a scale of 1.
  const first = pairs.find(({ scale }) => scale !== 0)
  const alpha = first ? first.scale * first.rank : 1
  const metadata = new Map<string, GgufEntry>([
    ['general.type', { type: 'string', value: 'adapter' }],
    ['general.architecture', { type: 'string', value: base.architecture }],
    ['adapter.type', { type: 'string', value: 'lora' }],
    ['adapter.lora.alpha', { type: 'f32', value: alpha }],
  ])
  return { metadata, tensors: pairs.flatMap((pair) => outputs(pair, alpha, names, base)) }
}

const namesOf = (architecture: string): GgufNames => {
  const names = ggufNames(architecture)
  if (names) return names
  throw new GraftError({
    code: 'not-saveable',
    culprit: 'adapter',
    given: architecture,
    expected: 'llama, qwen2 or qwen3',
  })
}

const outputs = (pair: LoraPair, alpha: number, names: GgufNames, base: LoraBase): GgufOutput[] => {
  const { path, rank, scale, a, b, inDim, outDim } = pair
  const weight = names.toGguf(`${path}.weight`)
  if (weight === undefined)
    throw new GraftError({
      code: 'not-saveable',
      culprit: path,
      given: 'a layer without a name in GGUF',
      expected: `one of ${base.architecture}`,
    })
  const factor = (scale * rank) / alpha
  const scaled = factor === 1 ? b : b.map((value) => value * factor)
  const heads = headsOf(names, weight, base)
  const rows = heads ? interleaveRows(scaled, { heads, headDim: outDim / heads, rowSize: rank }) : scaled
  return [
    { name: `${weight}.lora_a`, type: 'F32', shape: [rank, inDim], bytes: () => quantize('F32', a) },
    { name: `${weight}.lora_b`, type: 'F32', shape: [outDim, rank], bytes: () => quantize('F32', rows) },
  ]
}

const headsOf = (names: GgufNames, weight: string, { heads, keyValueHeads }: LoraBase): number | undefined => {
  const which = names.interleaved(weight)
  return which && (which === 'q' ? heads : keyValueHeads)
}

/**
 * The other way: a LoRA of a GGUF file as PEFT holds it, for `writeAdapter`. Errors: `bad-file` for a file that is no LoRA of
 * this base.
 */
export const loraFromGguf = async (
  file: Gguf,
  base: Omit<LoraBase, 'architecture'>,
  name = 'GGUF',
): Promise<AdapterFolder> => {
  const bad = (given: string, expected: string): GraftError =>
    new GraftError({ code: 'bad-file', culprit: name, given, expected })
  const text = (key: string): string | undefined => ggufValue(file.metadata, key, 'string', name)
  if (text('general.type') !== 'adapter' || text('adapter.type') !== 'lora')
    throw bad('no adapter of type lora', 'a LoRA that llama.cpp reads')
  const architecture = text('general.architecture') ?? ''
  const names = ggufNames(architecture)
  if (!names) throw bad(`the architecture ${JSON.stringify(architecture)}`, 'llama, qwen2 or qwen3')
  const alpha = ggufValue(file.metadata, 'adapter.lora.alpha', 'number', name)
  const found: { path: string; rank: number }[] = []
  const tensors = new Map<string, NamedTensor>()
  for (const tensor of file.tensors.keys()) {
    const [, weight, side] = /^(.*\.weight)\.lora_([ab])$/.exec(tensor) ?? []
    const path = weight === undefined ? undefined : names.toHf(weight)?.replace(/\.weight$/, '')
    if (path === undefined) throw bad(`the tensor ${tensor}`, `lora_a and lora_b of the layers of ${architecture}`)
    if (side === 'b') continue
    const [a, b] = [await readMatrix(file, tensor, bad), await readMatrix(file, `${weight}.lora_b`, bad)]
    const [rank, outDim] = [a.shape[0]!, b.shape[0]!]
    if (b.shape[1] !== rank) throw bad(`${weight} of [${a.shape}] and [${b.shape}]`, 'matrices of one rank')
    const heads = headsOf(names, weight!, { architecture, ...base })
    const rows = heads ? partRows(b.values, { heads, headDim: outDim / heads, rowSize: rank }) : b.values
    found.push({ path, rank })
    for (const [key, shape, values] of [
      ['lora_A', a.shape, a.values],
      ['lora_B', b.shape, rows],
    ] as const)
      tensors.set(`${path}.${key}.weight`, fromFloat32(`${path}.${key}.weight`, shape, values))
  }
  if (2 * found.length !== file.tensors.size) throw bad('a lora_b without its lora_a', 'pairs')
  // Without an alpha llama.cpp adds B A as it is.
  return { config: configOf(found, alpha), tensors }
}

const readMatrix = async (
  file: Gguf,
  name: string,
  bad: (given: string, expected: string) => GraftError,
): Promise<{ shape: readonly number[]; values: Float32Array }> => {
  const found = file.tensors.get(name)
  if (found?.shape.length !== 2) throw bad(found ? `${name} of [${found.shape}]` : `no ${name}`, 'a matrix')
  const bytes = await file.read(name)
  return { shape: found.shape, values: dequantize(found.type as GgufType, bytes, found.shape[0]! * found.shape[1]!) }
}

/** llama.cpp divides one alpha by each layer's rank; PEFT does the same where no pattern says otherwise. */
const configOf = (
  found: readonly { path: string; rank: number }[],
  alpha: number | undefined,
): AdapterFolder['config'] => {
  if (alpha === undefined || alpha === 0) return loraConfigOf(found, 1)
  return { ...loraConfigOf(found, 1), lora_alpha: alpha, alpha_pattern: {} }
}
