import { type JsonSchema, recipeJsonSchema } from './recipe-json-schema.ts'

/** One key of a recipe. */
export interface RecipeField {
  readonly key: string
  /** From the top: `data.train`. */
  readonly path: string
  readonly description: string
  /** Within its section. */
  readonly required: boolean
  /** What it takes, in words: `whole number ≥ 1`. */
  readonly takes: string
  /** What counts when it is absent, if that is a value. */
  readonly absent?: unknown
  /** A value to begin with. */
  readonly example?: unknown
  /** Of a section: its keys. */
  readonly fields?: readonly RecipeField[]
}

/** The keys of a recipe, in order, sections with theirs. */
export const recipeFields = (schema: JsonSchema = recipeJsonSchema(), prefix = ''): RecipeField[] =>
  Object.entries(schema.properties ?? {}).map(([key, inner]) => ({
    key,
    path: `${prefix}${key}`,
    description: inner.description ?? '',
    required: schema.required?.includes(key) === true,
    takes: takes(inner),
    ...('default' in inner && { absent: inner.default }),
    ...('const' in inner && { example: inner.const }),
    ...(inner.examples && { example: inner.examples[0] }),
    ...(inner.properties && { fields: recipeFields(inner, `${prefix}${key}.`) }),
  }))

/** Those that hold values, without the sections. */
export const flatFields = (fields: readonly RecipeField[] = recipeFields()): RecipeField[] =>
  fields.flatMap((field) => (field.fields ? flatFields(field.fields) : [field]))

const takes = (schema: JsonSchema): string => {
  if (schema.anyOf) return schema.anyOf.map(takes).join(', ')
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(', ')
  if (schema.const !== undefined) return JSON.stringify(schema.const)
  if (schema.type === 'array') return 'list'
  const { minimum, maximum, exclusiveMinimum } = schema
  const range =
    maximum !== undefined
      ? ` of ${minimum} … ${maximum}`
      : minimum !== undefined
        ? ` ≥ ${minimum}`
        : exclusiveMinimum !== undefined
          ? ` > ${exclusiveMinimum}`
          : ''
  return `${kinds[schema.type ?? ''] ?? 'value'}${range}`
}
const kinds: Record<string, string> = {
  string: 'text',
  integer: 'whole number',
  number: 'number',
  boolean: 'true or false',
  object: 'object',
}

/** The table of docs/cli.md. */
export const recipeTable = (): string =>
  [
    '| key | value | what it is | when absent |',
    '| --- | --- | --- | --- |',
    ...flatFields().map(
      (field) => `| \`${field.path}\` | ${field.takes} | ${field.description} | ${absentText(field)} |`,
    ),
  ].join('\n')

const absentText = ({ path, required, absent }: RecipeField): string => {
  if (absent !== undefined) return `\`${JSON.stringify(absent)}\``
  if (!required) return ''
  const sectionPath = path.split('.').slice(0, -1).join('.')
  const inSection = recipeSections().find((section) => section.path === sectionPath && !section.required)
  return inSection ? `required in \`${sectionPath}\`` : 'required'
}

const recipeSections = (fields: readonly RecipeField[] = recipeFields()): RecipeField[] =>
  fields.flatMap((field) => (field.fields ? [field, ...recipeSections(field.fields)] : []))
