import { stringify } from 'yaml'
import { type RecipeField, recipeFields } from './recipe-fields.ts'

type Known = { readonly [key: string]: unknown }

/** Keys that a new recipe sets, beside those that are required, to what counts without them. */
const shown = new Set(['training.epochs', 'training.batchSize', 'training.learningRate', 'training.schedule'])

const HEAD = `# yaml-language-server: $schema=./node_modules/@graftjs/cli/recipe.schema.json
# A recipe for \`graft train\`. A line that begins with # and a key (#key: value) is an option with the value that counts
# without it, or an example where there is none: take its # away to set it.
`

/** A recipe in YAML with every key: `known` values are set, as are required ones; the others stand there as comments. */
export const recipeYaml = (known: Known): string =>
  `${[
    HEAD,
    ...recipeFields()
      .filter(({ key }) => key !== '$schema')
      .map((field) => fieldLines(field, known[field.key], '')),
  ].join('\n')}\n`

const fieldLines = (field: RecipeField, known: unknown, indent: string): string => {
  const { path, key, fields, required } = field
  if (fields) return sectionLines(field, fields, known, indent)
  const value = known ?? field.example ?? field.absent
  const set = known !== undefined || required || shown.has(path)
  return `${comment(aboutOf(field), indent)}${entry(key, value, indent, set ? '' : '#')}`
}

const sectionLines = (field: RecipeField, fields: readonly RecipeField[], known: unknown, indent: string): string => {
  const head = comment(field.description, indent)
  // Within a section another one is whole or not there: a bare key of its would be half of it.
  if (indent && known === undefined) {
    const example = Object.fromEntries(fields.map(({ key, example, absent }) => [key, example ?? absent]))
    return `${head}${entry(field.key, example, indent, '#')}`
  }
  const inner = fields.map((f) => fieldLines(f, (known as Known | undefined)?.[f.key], `${indent}  `))
  return `${head}${indent}${field.key}:\n${inner.join('\n')}`
}

/** Choices are said where the value alone would not show them. */
const aboutOf = ({ description, takes, path }: RecipeField): string =>
  takes.includes('"') && path !== 'format' ? `${description} Takes ${takes}.` : description

const entry = (key: string, value: unknown, indent: string, mark: string): string =>
  stringify({ [key]: value }, { lineWidth: 0 })
    .trimEnd()
    .split('\n')
    .map((line) => `${indent}${mark}${line}\n`)
    .join('')

const comment = (text: string, indent: string): string => {
  const lines = ['']
  for (const word of text.split(' ')) {
    const line = lines.at(-1)!
    if (line && line.length + word.length + indent.length > 110) lines.push(word)
    else lines[lines.length - 1] = line ? `${line} ${word}` : word
  }
  return lines.map((line) => `${indent}# ${line}\n`).join('')
}
