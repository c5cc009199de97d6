import { type Command, jsonOption, printJson } from '../command.ts'
import type { Facts, TensorFact } from '../inspect/facts.ts'
import { factsOf } from '../inspect/facts-of.ts'

export const inspect: Command = {
  summary: 'what a model, an adapter or a checkpoint is',
  usage: ['PATH [--tensors] [--json]'],
  about: `PATH is a model folder, a .gguf file, a hub id (fetched if it is not in the cache), an adapter folder, a .safetensors file or a
checkpoint folder. Headers alone are read, so it takes no longer for a large file.`,
  options: { tensors: { about: 'lists every tensor: dtype, shape, bytes' }, json: jsonOption },
  operands: [{ name: 'PATH', complete: 'file' }],
  run: async ({ values, operands: [path] }) => {
    const { tensors, ...facts } = await factsOf(path!)
    if (values.json) return printJson({ ...facts, tensorCount: tensors.length, ...(values.tensors && { tensors }) })
    const lines = [
      ...linesOf({ ...facts, tensorCount: tensors.length }),
      ...(values.tensors ? tensorLines(tensors) : []),
    ]
    process.stdout.write(`${lines.join('\n')}\n`)
  },
}

const names: Record<string, string> = {
  allLinear: "'all-linear' targets",
  alphaPattern: 'alpha pattern',
  baseModel: 'base model',
  chatTemplate: 'chat template',
  excludeModules: 'excluded modules',
  hiddenSize: 'hidden size',
  loraBias: 'bias of B',
  modulesToSave: 'whole modules',
  otherTasks: 'other tasks',
  rankPattern: 'rank pattern',
  targetModules: 'target modules',
  tensorCount: 'tensors',
  tiedEmbeddings: 'tied embeddings',
  trainableTokens: 'trained tokens',
}

const linesOf = (facts: Omit<Facts, 'tensors'>): string[] => {
  const shown = Object.entries(facts).flatMap(([key, value]) => {
    const text = key === 'bytes' ? sizeText(value as number) : textOf(value)
    return text === undefined ? [] : [[names[key] ?? key, text] as const]
  })
  const width = Math.max(...shown.map(([name]) => name.length))
  return shown.map(([name, text]) => `${name.padEnd(width)}  ${text}`)
}

/** Undefined where nothing is known. */
const textOf = (value: unknown): string | undefined => {
  if (value === null || value === undefined || value === '') return undefined
  if (typeof value === 'number') return value.toLocaleString('en-US', { maximumFractionDigits: 6 })
  if (typeof value === 'boolean') return value ? 'yes' : 'no'
  if (Array.isArray(value)) return value.length ? value.map(textOf).join(', ') : 'none'
  if (typeof value !== 'object') return String(value)
  const parts = Object.entries(value).flatMap(([key, inner]) => {
    const text = textOf(inner)
    return text === undefined ? [] : [`${key} ${text}`]
  })
  return parts.length ? parts.join(', ') : undefined
}

const sizeText = (bytes: number): string => {
  const units = ['bytes', 'kB', 'MB', 'GB', 'TB']
  const at = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(1, bytes)) / 3))
  return at === 0 ? `${bytes} bytes` : `${(bytes / 1000 ** at).toPrecision(3)} ${units[at]}`
}

const tensorLines = (tensors: readonly TensorFact[]): string[] => {
  const width = Math.max(0, ...tensors.map(({ name }) => name.length))
  return [
    '',
    ...tensors.map(
      ({ name, dtype, shape, bytes }) =>
        `${name.padEnd(width)}  ${dtype.padEnd(5)} [${shape.join(', ')}]  ${sizeText(bytes)}`,
    ),
  ]
}
