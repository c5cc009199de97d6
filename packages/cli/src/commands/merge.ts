import { stat } from 'node:fs/promises'
import { resolve } from 'node:path'
import { merge as fold, forward, type Model, type Tuned } from '@graftjs/core'
import { loadModel, type SaveDtype, saveModel } from '@graftjs/models'
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

export const merge: Command = {
  summary: 'fold an adapter into its model',
  usage: ['--model M --adapter DIR --out DIR [--dtype f32|f16|bf16] [--force] [--json]'],
  about: `Writes a model folder (config.json, model.safetensors, the tokenizer's files) that needs no adapter any more, and says how
far its logits are from those of the model with the adapter, on four rows of sixteen drawn tokens. Without --dtype each
tensor keeps the dtype that it has in M. Where an adapter cannot be folded, that is said and nothing is written.`,
  options: {
    model: { ...modelOption, about: 'a hub id, or a folder with config.json and safetensors' },
    adapter: adapterOption,
    out: { value: 'DIR', about: 'the folder to write', complete: 'folder' },
    dtype: { value: 'TYPE', about: 'of all weights: f32, f16 or bf16', complete: dtypes },
    force: { about: 'writes over a model that is there' },
    json: jsonOption,
  },
  run: async ({ values }) => {
    const [where, adapter, out] = ['model', 'adapter', 'out'].map((name) => required(values, name)) as [
      string,
      string,
      string,
    ]
    const dtype = dtypeOf(values)
    refusePacked(where)
    await checkOut(out, where, values.force === true)
    const { model, tuned } = await openModel({ model: where, adapter })
    const before = probe(tuned)
    const merged = fold(tuned as Tuned)
    await saveModel(merged, out, { ...(dtype && { dtype }) })
    merged.dispose()
    model.dispose()
    // What was written is what counts: it is read back.
    const report = compare(before, probe(await loadModel(out)))
    say(`merged model written to ${out}`)
    say(
      `largest change of a logit: ${report.largestChange.toExponential(2)} (the largest logit is ${report.largestLogit.toFixed(2)}); ` +
        `the likeliest token is the same in ${report.sameToken} of ${report.tokens} places`,
    )
    if (values.json) printJson({ out, dtype: dtype ?? 'as stored', ...report })
  },
}

const dtypeOf = ({ dtype }: Values): SaveDtype | undefined => {
  if (dtype === undefined || dtypes.includes(dtype as string)) return dtype as SaveDtype | undefined
  throw new GraftError({ code: 'bad-option', culprit: '--dtype', given: String(dtype), expected: dtypes.join(', ') })
}

const refusePacked = (where: string): void => {
  if (!where.endsWith('.gguf')) return
  throw new GraftError({
    code: 'not-mergeable',
    culprit: where,
    given: 'a GGUF file, whose weights may be packed: what an adapter adds is lost when they are packed again',
    expected:
      'the folder or hub id that the GGUF was made from; or use the adapter beside the GGUF: graft generate --adapter DIR',
  })
}

const checkOut = async (out: string, model: string, force: boolean): Promise<void> => {
  const refuse = (given: string, expected: string): never => {
    throw new GraftError({ code: 'file-exists', culprit: out, given, expected })
  }
  if (resolve(out) === resolve(model)) refuse('the folder of the model itself', 'another folder')
  const there = await stat(out).catch(() => undefined)
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
