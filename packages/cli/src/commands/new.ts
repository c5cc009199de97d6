import { stat } from 'node:fs/promises'
import { atomicWrite } from '@graftjs/files'
import { GraftError } from '@graftjs/tensor/error'
import { type Command, say } from '../command.ts'
import { dataHints } from '../data-hints.ts'
import { methodNames, methodOf } from '../methods.ts'
import { recipeYaml } from '../recipe-yaml.ts'

export const newRecipe: Command = {
  summary: 'write a recipe with comments, to be changed and trained',
  usage: ['[FILE] [--model M] [--data ROWS] [--method NAME] [--chat] [--force]'],
  about: `Writes FILE (recipe.yaml when absent) with every key that a recipe may have: those that count, and the others as comments
that say what they do and what counts when they are absent. With --data it looks at the columns of the rows and says how
they are to be read.`,
  options: {
    model: {
      value: 'M',
      about: 'a hub id, a folder with config.json and safetensors, or a .gguf file',
      complete: 'file',
    },
    data: { value: 'ROWS', about: 'a file of rows: JSONL, JSON, CSV or TSV', complete: 'file' },
    method: { value: 'NAME', about: `one of ${methodNames.join(', ')}`, complete: methodNames },
    chat: { about: "puts the rows through the model's chat template" },
    force: { about: 'writes over a file that is there' },
  },
  operands: [{ name: 'FILE', optional: true, complete: 'file' }],
  run: async ({ values, operands: [file = 'recipe.yaml'] }) => {
    await checkFile(file, values.force === true)
    const text = (name: string): string | undefined => (typeof values[name] === 'string' ? values[name] : undefined)
    const [model, rows, method] = [text('model'), text('data'), text('method')]
    if (method !== undefined) methodOf({ name: method })
    const { data = {}, note = undefined } = rows === undefined ? {} : await dataHints(rows)
    const written = recipeYaml({
      ...(model !== undefined && { model }),
      ...(method !== undefined && method !== 'lora' && { method: { name: method } }),
      data: { ...(rows !== undefined && { train: rows }), ...data, ...(values.chat && { chat: true }) },
    })
    await atomicWrite(file, new TextEncoder().encode(written))
    say(`wrote ${file}`)
    if (note !== undefined) say(note)
    if (rows === undefined) say('data.train in it names the file of your rows')
    say(`next: graft data show ${file}   the tokens, and which of them are learnt\n      graft train ${file}`)
  },
}

const checkFile = async (file: string, force: boolean): Promise<void> => {
  if (!/\.ya?ml$/i.test(file))
    throw new GraftError({
      code: 'bad-option',
      culprit: 'FILE',
      given: file,
      expected: 'a name that ends with .yaml: the recipe is written with comments, and JSON has none',
    })
  const there = await stat(file).catch(() => undefined)
  if (there && !(force && there.isFile()))
    throw new GraftError({
      code: 'file-exists',
      culprit: file,
      given: there.isFile() ? 'a file that is there already' : 'a folder',
      expected: there.isFile() ? 'another name, or --force to write over it' : 'the name of a file',
    })
}
