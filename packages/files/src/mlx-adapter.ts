import { GraftError } from '@graftjs/tensor/error'
import { type AdapterFolder, parseAdapterConfig } from './adapter-folder.ts'
import { atomicWriteFolder } from './atomic-folder.ts'
import { type ByteSource, fileSource } from './byte-source.ts'
import { loraConfigOf, loraPairs } from './lora-pairs.ts'
import { fromFloat32, type NamedTensor, toFloat32 } from './named-tensor.ts'
import { pythonJson } from './python-json.ts'
import { openSafetensors } from './safetensors.ts'
import { isJsonObject, type JsonObject } from './strict-json.ts'
import type { WriteFs } from './write-fs.ts'
import { writeSafetensors } from './write-safetensors.ts'

const CONFIG = 'adapter_config.json'
const WEIGHTS = 'adapters.safetensors'
const CONFIG_CAP = 10_000_000

/**
 * Writes a LoRA as mlx-lm reads it (`--adapter-path`): adapter_config.json and adapters.safetensors. There x · lora_a · lora_b
 * is multiplied by one scale, so lora_a is A turned, [in, rank], and lora_b is B turned, [rank, out].
 * `layers`: how many the model has. Errors: those of `loraPairs`, and `write-failed`.
 */
export const writeMlxAdapter = async (
  dir: string,
  adapter: AdapterFolder,
  { layers, fs }: { readonly layers: number; readonly fs?: WriteFs },
): Promise<void> => {
  const pairs = loraPairs(adapter)
  const rank = Math.max(1, ...pairs.map((pair) => pair.rank))
  const scale = pairs.find((pair) => pair.scale !== 0)?.scale ?? 1
  const tensors = pairs.flatMap((pair): NamedTensor[] => {
    const { path, inDim, outDim } = pair
    const b = pair.scale === scale ? pair.b : pair.b.map((value) => (value * pair.scale) / scale)
    // mlx-lm makes every layer of one rank: what a smaller one lacks is zero.
    const [wideA, wideB] = [new Float32Array(inDim * rank), new Float32Array(rank * outDim)]
    for (let i = 0; i < pair.rank; i++) {
      for (let j = 0; j < inDim; j++) wideA[j * rank + i] = pair.a[i * inDim + j]!
      for (let j = 0; j < outDim; j++) wideB[i * outDim + j] = b[j * pair.rank + i]!
    }
    return [fromFloat32(`${path}.lora_a`, [inDim, rank], wideA), fromFloat32(`${path}.lora_b`, [rank, outDim], wideB)]
  })
  const keys = [...new Set(pairs.map(({ path }) => path.replace(/^.*\.layers\.\d+\./, '')))].sort()
  const config = {
    fine_tune_type: 'lora',
    num_layers: layers,
    lora_parameters: { rank, scale, dropout: 0, keys },
  }
  await atomicWriteFolder(
    dir,
    [
      [WEIGHTS, writeSafetensors(tensors, { format: 'mlx' })],
      [CONFIG, new TextEncoder().encode(`${pythonJson(config)}\n`)],
    ],
    fs,
  )
}

/** A LoRA that mlx-lm wrote, as PEFT holds it. Errors: `no-file`, `bad-file`, `unsupported-option` for DoRA and full weights. */
export const readMlxAdapter = async (dir: string): Promise<AdapterFolder> => {
  const config = await withSource(`${dir}/${CONFIG}`, async (source) => {
    if (source.size > CONFIG_CAP)
      throw bad(source.name, `${source.size} bytes`, `a config of ${CONFIG_CAP} bytes at most`)
    return parseAdapterConfig(new TextDecoder().decode(await source.read(0, source.size)), source.name)
  })
  const kind = config.fine_tune_type ?? 'lora'
  if (kind !== 'lora')
    throw new GraftError({
      code: 'unsupported-option',
      culprit: `${dir}/${CONFIG}: fine_tune_type`,
      given: JSON.stringify(kind),
      expected: '"lora"',
    })
  const scale = scaleOf(config, dir)
  return withSource(`${dir}/${WEIGHTS}`, (source) => readPairs(source, scale))
}

const bad = (culprit: string, given: string, expected: string): GraftError =>
  new GraftError({ code: 'bad-file', culprit, given, expected })

const withSource = async <T>(path: string, use: (source: ByteSource) => Promise<T>): Promise<T> => {
  const source = await fileSource(path)
  try {
    return await use(source)
  } finally {
    await source.close()
  }
}

const scaleOf = ({ lora_parameters: given }: JsonObject, dir: string): number => {
  const scale = isJsonObject(given) ? given.scale : undefined
  if (typeof scale === 'number' && Number.isFinite(scale)) return scale
  throw bad(`${dir}/${CONFIG}: lora_parameters.scale`, JSON.stringify(scale ?? null), 'a number')
}

const readPairs = async (source: ByteSource, scale: number): Promise<AdapterFolder> => {
  const file = await openSafetensors(source)
  const tensors = new Map<string, NamedTensor>()
  const found: { path: string; rank: number }[] = []
  for (const [name, { shape }] of file.tensors) {
    const [, path, side] = /^(.*)\.lora_([ab])$/.exec(name) ?? []
    if (path === undefined || shape.length !== 2)
      throw bad(source.name, `${name} of [${shape}]`, 'lora_a and lora_b of linear layers')
    const turned = turn(toFloat32(await file.read(name)), shape)
    const key = `${path}.lora_${side!.toUpperCase()}.weight`
    tensors.set(key, fromFloat32(key, [shape[1]!, shape[0]!], turned))
    if (side === 'a') found.push({ path, rank: shape[1]! })
  }
  const adapter = { config: loraConfigOf(found, scale), tensors }
  // That each A has a B of its rank is checked there.
  loraPairs(adapter)
  return adapter
}

const turn = (values: Float32Array, [rows, columns]: readonly number[]): Float32Array => {
  const out = new Float32Array(values.length)
  for (let i = 0; i < rows!; i++) for (let j = 0; j < columns!; j++) out[j * rows! + i] = values[i * columns! + j]!
  return out
}
