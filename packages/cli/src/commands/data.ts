import { ansiLegend, describeEncoded, type Sample, type ShownSet, showAnsi, showHtml } from '@graftjs/data'
import { atomicWrite } from '@graftjs/files'
import { GraftError } from '@graftjs/tensor/error'
import type { Tokenizer } from '@graftjs/text'
import { type Command, jsonOption, modelOption, printJson, required, say, type Values, wholeOf } from '../command.ts'
import { openTokenizer } from '../open-tokenizer.ts'
import { type DataSet, type ReadData, readData } from '../read-data.ts'
import { readText } from '../read-text.ts'
import { type Recipe, readRecipe } from '../recipe.ts'

export const data: Command = {
  summary: 'the tokens of your rows, and which of them are learnt',
  usage: [
    'show RECIPE [--rows N | --row I] [--set NAME] [--html FILE] [--json]',
    'show --model M --data ROWS [--columns MAP] [--chat] [--rows N | --row I] [--html FILE] [--json]',
  ],
  about: `Encodes the rows as training will and shows the first of each set: what is learnt on green, what is masked in grey. All rows
are encoded, so a row with a fault is found here. Where output is no terminal, or with NO_COLOR set, what is learnt stands
in ⟦ ⟧. The model's tokenizer is read, not its weights.`,
  options: {
    model: modelOption,
    data: { value: 'ROWS', about: 'a file of rows: JSONL, JSON, CSV or TSV', complete: 'file' },
    columns: { value: 'MAP', about: "names the file's columns: prompt=question,completion=answer" },
    chat: { about: "puts prompts and completions through the model's chat template" },
    rows: { value: 'N', about: 'shows the first N rows of each set (3 when absent)' },
    row: { value: 'I', about: 'shows this row alone, counted from 0' },
    set: { value: 'NAME', about: 'shows this set alone' },
    html: { value: 'FILE', about: 'writes a page that opens offline', complete: 'file' },
    json: jsonOption,
  },
  operands: [
    { name: 'show', complete: ['show'] },
    { name: 'RECIPE', optional: true, complete: 'file' },
  ],
  run: async ({ values, operands: [action, file] }) => {
    if (action !== 'show') throw badOption('arguments', String(action), 'show; --help shows the command')
    const recipe = await recipeOf(values, file)
    const { tokenizer, context } = await openTokenizer(recipe.model)
    const sets = chosen(await readData(recipe.data, { tokenizer, context }), values)
    if (typeof values.html === 'string') {
      await atomicWrite(values.html, new TextEncoder().encode(showHtml(sets, tokenizer)))
      say(`wrote ${values.html}`)
    }
    if (values.json) printJson({ sets: sets.map((set) => jsonOf(set, tokenizer)) })
    else if (values.html === undefined) process.stdout.write(`${textOf(sets, tokenizer)}\n`)
  },
}

const badOption = (culprit: string, given: string, expected: string): GraftError =>
  new GraftError({ code: 'bad-option', culprit, given, expected })

const recipeOf = async (values: Values, file: string | undefined): Promise<Pick<Recipe, 'model' | 'data'>> => {
  const apart = ['model', 'data', 'columns', 'chat'].filter((name) => values[name] !== undefined)
  if (file !== undefined && apart.length > 0)
    throw badOption('arguments', `a recipe and --${apart[0]}`, 'a recipe, or --model and --data')
  if (file === undefined) {
    const columns = columnsOf(values.columns)
    const more = { ...(columns && { columns }), ...(values.chat === true && { chat: true }) }
    return { model: required(values, 'model'), data: { train: required(values, 'data'), ...more } }
  }
  return readRecipe(await readText(file), file)
}

/** `prompt=question,completion=answer` as an object. */
const columnsOf = (text: string | boolean | undefined): Record<string, string> | undefined => {
  if (typeof text !== 'string') return undefined
  const pairs = text.split(',').map((pair) => pair.split('='))
  if (pairs.every((pair) => pair.length === 2 && pair.every((name) => name !== ''))) return Object.fromEntries(pairs)
  throw badOption('--columns', text, "our names and the file's, such as prompt=question,completion=answer")
}

/** The sets and rows to show. */
const chosen = (read: ReadData, values: Values): ShownSet[] => {
  const all = [...read.train, ...(read.eval ? [read.eval] : [])]
  const sets = values.set === undefined ? all : all.filter(({ name }) => name === values.set)
  if (sets.length === 0)
    throw badOption('--set', String(values.set), `one of ${all.map(({ name }) => name).join(', ')}`)
  if (values.row === undefined) {
    const rows = wholeOf(values, 'rows', 3)
    return sets.map(({ name, encoded }) => ({ name, encoded, samples: encoded.samples.slice(0, rows) }))
  }
  if (values.rows !== undefined) throw badOption('arguments', 'both --rows and --row', 'one of them')
  const [{ name, encoded }] = sets as [DataSet]
  const row = wholeOf(values, 'row', 0)
  const sample = encoded.samples[row]
  if (sample) return [{ name, encoded, samples: [sample] }]
  throw badOption('--row', String(row), `0 to ${encoded.samples.length - 1}, the rows of ${name}`)
}

const counts = ({ ids, labels }: Sample): string =>
  `${ids.length} tokens, ${labels.filter((label) => label >= 0).length} learnt`

const textOf = (sets: readonly ShownSet[], tokenizer: Tokenizer): string => {
  const color = !process.env.NO_COLOR && (process.stdout.isTTY === true || !!process.env.FORCE_COLOR)
  const shown = sets.flatMap(({ name, encoded, samples }) => [
    ...samples.map(
      (sample) => `${name}, row ${sample.source}: ${counts(sample)}\n${showAnsi(sample, tokenizer, { color })}\n`,
    ),
    `${describeEncoded(encoded, name).join('\n')}\n`,
  ])
  return [`${ansiLegend({ color })}\n`, ...shown].join('\n').trimEnd()
}

const jsonOf = ({ name, encoded: { samples, ...report }, samples: shown }: ShownSet, tokenizer: Tokenizer): object => ({
  name,
  ...report,
  rows: shown.map(({ source, ids, labels }) => ({ row: source, ids, tokens: ids.map(tokenizer.tokenOf), labels })),
})
