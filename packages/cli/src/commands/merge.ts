import { stat } from 'node:fs/promises'
import { resolve } from 'node:path'
import { merge as fold, forward, type Model, type Tuned } from '@graftjs/core'
import { loadModel, type SaveDtype, saveGguf, saveModel } from '@graftjs/models'
import { random, scope } from '@graftjs/tensor'
import { GraftError } from '@graftjs/tensor/error'
import {
  adapterOption,
  type Command,
  jsonOption,
  modelOption,
  printJson,
  required,
  say,
  type Values,
} from '../command.ts'
import { openModel } from './open-model.ts'

const dtypes: readonly string[] = ['f32', 'f16', 'bf16'] satisfies SaveDtype[]
const packed = ['q8_0', 'q4_0', 'q4_1'] as const
type GgufDtype = SaveDtype | (typeof packed)[number]

const isGguf = (path: string): boolean => path.endsWith('.gguf')

export const merge: Command = {
  summary: 'fold an adapter into its model',
  usage: [
    '--model M --adapter DIR --out DIR [--dtype f32|f16|bf16] [--force] [--json]',
    '--model M --adapter DIR --out FILE.gguf [--dtype f32|f16|bf16|q8_0|q4_0|q4_1] [--force] [--json]',
  ],
  about: `Writes a model folder (config.json, model.safetensors, the tokenizer's files) that needs no adapter any more, and says how
far its logits are from those of the model with the adapter, on four rows of sixteen drawn tokens. Without --dtype each
tensor keeps the dtype that it has in M. A name that ends with .gguf gets one file for llama.cpp and Ollama, in f16 without --dtype;
M may then be a .gguf file itself, unless it would be packed again. Where an adapter cannot be folded, that is said and
nothing is written.`,
  options: {
    model: modelOption,
    adapter: adapterOption,
    out: { value: 'OUT', about: 'the folder, or the .gguf file, to write', complete: 'file' },
    dtype: {
      value: 'TYPE',
      about: 'of all weights: f32, f16 or bf16; of a .gguf file also q8_0, q4_0 or q4_1',
      complete: [...dtypes, ...packed],
    },
    force: { about: 'writes over a model that is there' },
    json: jsonOption,
  },
  run: async ({ values }) => {
    const [where, adapter, out] = ['model', 'adapter', 'out'].map((name) => required(values, name)) as [
      string,
      string,
      string,
    ]
    const dtype = dtypeOf(values, isGguf(out))
    refusePacked(where, out, dtype)
    await checkOut(out, where, values.force === true)
    const { model, tuned } = await openModel({ model: where, adapter })
    const before = probe(tuned)
    const merged = fold(tuned as Tuned)
    if (isGguf(out)) await saveGguf(merged, out, { ...(dtype && { type: dtype }) })
    else await saveModel(merged, out, { ...(dtype && { dtype: dtype as SaveDtype }) })
    merged.dispose()
    model.dispose()
    // What was written is what counts: it is read back.
    const report = compare(before, probe(await loadModel(out)))
    say(`merged model written to ${out}`)
    say(
      `largest change of a logit: ${report.largestChange.toExponential(2)} (the largest logit is ${report.largestLogit.toFixed(2)}); ` +
        `the likeliest token is the same in ${report.sameToken} of ${report.tokens} places`,
    )
    if (values.json) printJson({ out, dtype: dtype ?? (isGguf(out) ? 'f16' : 'as stored'), ...report })
  },
}

const dtypeOf = ({ dtype }: Values, gguf: boolean): GgufDtype | undefined => {
  const known: readonly string[] = gguf ? [...dtypes, ...packed] : dtypes
  if (dtype === undefined || known.includes(dtype as string)) return dtype as GgufDtype | undefined
  throw new GraftError({ code: 'bad-option', culprit: '--dtype', given: String(dtype), expected: known.join(', ') })
}

/** Weights that were packed once must not be packed again without a word: what the adapter adds would be lost in the steps. */
const refusePacked = (where: string, out: string, dtype: GgufDtype | undefined): void => {
  if (!isGguf(where) || (isGguf(out) && !packed.includes(dtype as 'q8_0'))) return
  throw new GraftError({
    code: 'not-mergeable',
    culprit: where,
    given: 'a GGUF file, whose weights may be packed: what an adapter adds is lost when they are packed again',
    expected:
      'the folder or hub id that the GGUF was made from; a .gguf file in f32, f16 or bf16 to write; or the adapter beside the GGUF: graft generate --adapter DIR',
  })
}

const checkOut = async (out: string, model: string, force: boolean): Promise<void> => {
  const refuse = (given: string, expected: string): never => {
    throw new GraftError({ code: 'file-exists', culprit: out, given, expected })
  }
  if (resolve(out) === resolve(model)) refuse('the model itself', 'another place')
  const there = await stat(out).catch(() => undefined)
  if (isGguf(out)) {
    if (there && !force) refuse('a file that is there already', 'another name, or --force to write over it')
    return
  }
  if (there && !there.isDirectory()) refuse('a file', 'the name of a folder')
  if (force) return
  for (const file of ['config.json', 'model.safetensors', 'adapter_config.json'])
    if (await stat(`${out}/${file}`).catch(() => undefined))
      refuse(`a folder that has ${file} already`, 'another folder, or --force to write over it')
}

const ROWS = 4
const TOKENS = 16

/** The logits of a few rows of drawn tokens. */
const probe = (model: Tuned | Model): { readonly values: Float32Array; readonly vocab: number } => {
  const vocab = ('model' in model ? model.model : model).head.site.outDim
  const draw = random(0, 'merge/probe')
  const ids = Array.from({ length: ROWS }, () =>
    Array.from({ length: TOKENS }, () => Math.floor(draw.uniform() * vocab)),
  )
  return { values: scope(() => Float32Array.from(forward(model, { ids }).logits().dataSync())), vocab }
}

interface Report {
  readonly largestChange: number
  readonly largestLogit: number
  /** Places where the likeliest token is the same, of `tokens`. */
  readonly sameToken: number
  readonly tokens: number
}

const compare = (
  { values: before, vocab }: ReturnType<typeof probe>,
  { values: after }: { readonly values: Float32Array },
): Report => {
  let [largestChange, largestLogit, sameToken] = [0, 0, 0]
  for (const [i, value] of before.entries()) {
    // A not-a-number stays, whatever stands beside it.
    largestChange = Math.max(largestChange, Math.abs(after[i]! - value))
    largestLogit = Math.max(largestLogit, Math.abs(value))
  }
  const tokens = before.length / vocab
  const likeliest = (values: Float32Array, row: number): number => {
    const part = values.subarray(row * vocab, (row + 1) * vocab)
    return part.indexOf(part.reduce((a, b) => Math.max(a, b)))
  }
  for (let row = 0; row < tokens; row++) if (likeliest(before, row) === likeliest(after, row)) sameToken++
  return { largestChange, largestLogit, sameToken, tokens }
}
