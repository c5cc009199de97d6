import { readFileSync } from 'node:fs'
import { asTuned, type Batch, canCache, forward } from '@graftjs/core'
import { countTargets } from '@graftjs/data'
import { bytesSource, openSafetensors, toFloat32 } from '@graftjs/files'
import { createCache, embedRows, embedTexts, type LoadedModel, loadModel } from '@graftjs/models'
import { scope, sum } from '@graftjs/tensor'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readSentence } from '../../models/src/heads/read-sentence.ts'
import { fixtureDir } from './fixture.ts'
import { backends, furthest } from './support/on-backends.ts'

/** What tooling/oracle/tiny_encoders.py recorded. */
interface Facts {
  readonly rows: number[][]
  readonly types?: number[][]
  readonly labels?: number[][]
  readonly loss?: number
}

const padded = (rows: number[][], fill: number, side: 'left' | 'right'): number[][] => {
  const length = Math.max(...rows.map((row) => row.length))
  return rows.map((row) => {
    const gap = new Array<number>(length - row.length).fill(fill)
    return side === 'left' ? [...gap, ...row] : [...row, ...gap]
  })
}

/** What stands at a padded place must not matter. */
const batchOf = ({ rows, types }: Pick<Facts, 'rows' | 'types'>, side: 'left' | 'right') => ({
  ids: padded(rows, 7, side),
  mask: padded(
    rows.map((row) => row.map(() => 1)),
    0,
    side,
  ),
  ...(types && { tokenTypes: padded(types, 0, side) }),
})

const valuesOf = (model: LoadedModel, batch: Batch, what: 'hidden' | 'logits'): Float32Array =>
  scope(() => {
    const out = forward(model, batch)
    return Float32Array.from((what === 'hidden' ? out.hidden : out.logits()).dataSync())
  })

/** Of the tokens that are not padding; of a classifier of rows all. */
const kept = (values: Float32Array, mask: number[][], isOfRows: boolean): Float32Array => {
  const width = values.length / mask.flat().length
  return isOfRows ? values : values.filter((_, i) => mask.flat()[Math.floor(i / width)])
}

const NAMES = [
  'bert',
  'bert-masked-lm',
  'bert-seq-cls',
  'bert-token-cls',
  'bert-question-answering',
  'roberta-masked-lm',
  'roberta-seq-cls',
  'llama-seq-cls',
]
for (const [backend, use] of Object.entries(backends))
  describe.each(NAMES)(`%s on ${backend}, against transformers`, (name) => {
    const dir = fixtureDir(`encoders/${name}`)
    const facts = JSON.parse(readFileSync(`${dir}/expected.json`, 'utf8')) as Facts
    const parts = name === 'bert' ? (['hidden'] as const) : (['hidden', 'logits'] as const)
    const isOfRows = name.endsWith('seq-cls')
    const typesOf = (row: number) => (facts.types ? { tokenTypes: [facts.types[row]!] } : {})
    let model: LoadedModel
    let expected: Record<string, Float32Array>
    beforeAll(async () => {
      await use()
      model = await loadModel(dir)
      const file = await openSafetensors(bytesSource(readFileSync(`${dir}/expected.safetensors`)))
      expected = Object.fromEntries(await Promise.all(parts.map(async (p) => [p, toFloat32(await file.read(p))])))
    })
    afterAll(() => model.dispose())

    it.each(parts)('%s of rows padded on the right, on the left, and alone', (part) => {
      const ofRows = isOfRows && part === 'logits'
      for (const side of ['right', 'left'] as const) {
        const batch = batchOf(facts, side)
        expect(furthest(kept(valuesOf(model, batch, part), batch.mask, ofRows), expected[part]!)).toBeLessThan(1e-4)
      }
      const alone = facts.rows.flatMap((row, b) => [...valuesOf(model, { ids: [row], ...typesOf(b) }, part)])
      expect(furthest(Float32Array.from(alone), expected[part]!)).toBeLessThan(1e-4)
    })

    it('two rows packed into one: the same hidden states', () => {
      const [first, second] = facts.rows as [number[], number[], number[]]
      const batch = {
        ids: [[...second, ...first]],
        positions: [[...second.keys(), ...first.keys()]],
        segments: [[...second.map(() => 0), ...first.map(() => 1)]],
        ...(facts.types && { tokenTypes: [[...facts.types[1]!, ...facts.types[0]!]] }),
      }
      const hidden = valuesOf(model, batch, 'hidden')
      const width = hidden.length / (first.length + second.length)
      const wanted = expected.hidden!.subarray(0, first.length * width)
      expect(furthest(hidden.subarray(second.length * width), wanted)).toBeLessThan(1e-4)
    })

    it.runIf(facts.labels)("the mean of nll is transformers' loss", () => {
      const batch = { ...batchOf(facts, 'right'), labels: facts.labels! }
      const total = scope(() => sum(forward(model, batch).nll(batch.labels)).dataSync()[0]!)
      expect(Math.abs(total / countTargets(batch, model.labelShift) - facts.loss!)).toBeLessThan(1e-4)
    })
  })

describe('embedRows', () => {
  const dir = fixtureDir('encoders/bert')
  const { rows } = JSON.parse(readFileSync(`${dir}/expected.json`, 'utf8')) as Facts
  let model: LoadedModel
  /** The states of each row, that of each token one after another. */
  let states: number[][][]
  beforeAll(async () => {
    await backends.simd()
    model = await loadModel(dir)
    states = rows.map((row) => {
      const hidden = [...valuesOf(model, { ids: [row] }, 'hidden')]
      const width = hidden.length / row.length
      return row.map((_, t) => hidden.slice(t * width, (t + 1) * width))
    })
  })
  afterAll(() => model.dispose())

  const pooled = {
    mean: (of: number[][]) => of[0]!.map((_, i) => of.reduce((total, state) => total + state[i]!, 0) / of.length),
    max: (of: number[][]) => of[0]!.map((_, i) => Math.max(...of.map((state) => state[i]!))),
    cls: (of: number[][]) => of[0]!,
  }
  const unit = (v: number[]): number[] => v.map((x) => x / Math.hypot(...v))

  it.each(['mean', 'max', 'cls'] as const)(
    '%s over the tokens that are not padding, in the order of the rows',
    async (pooling) => {
      const wanted = states.map(pooled[pooling])
      const options = { pooling, batchSize: 2 }
      for (const [made, right] of [
        [await embedRows(model, rows, { ...options, normalise: false }), wanted],
        [await embedRows(model, rows, options), wanted.map(unit)],
      ] as const)
        expect(furthest(Float32Array.from(made.flatMap((v) => [...v])), Float32Array.from(right.flat()))).toBeLessThan(
          1e-5,
        )
    },
  )

  it('goes by what a folder of sentence-transformers says, and by the options before it', async () => {
    const said = { ...model, sentence: { pooling: 'max', normalise: false } } as LoadedModel
    const of = (vectors: Float32Array[]): Float32Array => Float32Array.from(vectors.flatMap((v) => [...v]))
    expect(furthest(of(await embedRows(said, rows)), Float32Array.from(states.flatMap(pooled.max)))).toBeLessThan(1e-5)
    const mean = of(await embedRows(said, rows, { pooling: 'mean' }))
    expect(furthest(mean, Float32Array.from(states.flatMap(pooled.mean)))).toBeLessThan(1e-5)
  })

  it('cuts a text that is too long before what the tokenizer puts at its end', async () => {
    const encode = (text: string): number[] => [3, ...Array.from(text, (c) => c.charCodeAt(0) - 90), 4]
    const spoken = { ...model, tokenizer: { encode } } as unknown as LoadedModel
    const [long, exact] = await embedTexts(spoken, ['abcdefgh', 'abc'], { maxLength: 5 })
    expect(long).toEqual(exact)
    const [whole] = await embedTexts(spoken, ['x'.repeat(100)])
    const [cut] = await embedTexts(spoken, ['x'.repeat(38)])
    expect(whole).toEqual(cut)
  })

  it('refuses a row without tokens, a model without a tokenizer, token types that there are not', async () => {
    await expect(embedRows(model, [[5], []])).rejects.toThrow('rows[1]: given no tokens')
    await expect(embedTexts(model, ['a'])).rejects.toThrow('a model without tokenizer.json')
    expect(() => valuesOf(model, { ids: [[5, 6]], tokenTypes: [[0, 2]] }, 'hidden')).toThrow('a token type of 0 … 1')
  })

  it('has no cache', () => {
    const cache = createCache()
    expect(() => forward(model, { ids: [[5, 6]] }, { cache })).toThrow('every token sees those behind it')
    expect(canCache(asTuned(model))).toBe(false)
    cache.dispose()
  })
})

describe('readSentence', () => {
  const folder = (files: Record<string, unknown>) => async (file: string) =>
    file in files ? JSON.stringify(files[file]) : undefined
  const modules = (...kinds: string[]) => kinds.map((kind) => ({ type: `sentence_transformers.models.${kind}` }))
  it('reads modules.json and what it names, and refuses what is not built', async () => {
    expect(await readSentence('d', folder({}))).toBeUndefined()
    const plain = { 'modules.json': modules('Transformer', 'Pooling') }
    expect(await readSentence('d', folder(plain))).toEqual({ pooling: 'mean', normalise: false })
    const cls = { '1_Pooling/config.json': { pooling_mode_cls_token: true, pooling_mode_mean_tokens: false } }
    expect((await readSentence('d', folder({ ...plain, ...cls })))!.pooling).toBe('cls')
    const both = { '1_Pooling/config.json': { pooling_mode_cls_token: true, pooling_mode_mean_tokens: true } }
    await expect(readSentence('d', folder({ ...plain, ...both }))).rejects.toThrow('1_Pooling/config.json')
    const dense = { 'modules.json': modules('Transformer', 'Pooling', 'Dense') }
    await expect(readSentence('d', folder(dense))).rejects.toThrow('Dense')
  })
})
