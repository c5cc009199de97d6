import { strictJson } from '@graftjs/files'
import { GraftError, isGraftError } from '@graftjs/tensor/error'
import { LineCounter, parseDocument } from 'yaml'
import { recipeFault } from './recipe-fault.ts'
import { recipeFields } from './recipe-fields.ts'
import { RECIPE_VERSION, type Recipe, recipeSchema } from './recipe-schema.ts'

export { RECIPE_FORMAT, RECIPE_VERSION, type Recipe } from './recipe-schema.ts'

/**
 * The recipe in `text`: YAML where `file` ends with .yaml or .yml, else JSON. Every fault names its key, an unknown key
 * lists near names. Errors: `bad-recipe`, and `newer-version` for a recipe of a newer Graft.
 */
export const readRecipe = (text: string, file: string): Recipe => {
  const value = /\.ya?ml$/i.test(file) ? readYaml(text, file) : readJson(text, file)
  const version = (value as { version?: unknown } | null)?.version
  // Said before any unknown key, which a newer version may know.
  if (typeof version === 'number' && version > RECIPE_VERSION)
    throw new GraftError({
      code: 'newer-version',
      culprit: `${file}: version`,
      given: String(version),
      expected: `at most ${RECIPE_VERSION}: a newer Graft wrote this recipe`,
    })
  const { success, data, error } = recipeSchema.safeParse(value)
  if (success) return data
  throw recipeFault(value, error.issues, file)
}

const readJson = (text: string, file: string): unknown => {
  try {
    JSON.parse(text)
    return strictJson(text, file)
  } catch (cause) {
    throw new GraftError({
      code: 'bad-recipe',
      culprit: file,
      given: (isGraftError(cause) && cause.given) || (cause as Error).message,
      expected: 'a JSON object (a recipe in YAML ends with .yaml)',
      cause,
    })
  }
}

const readYaml = (text: string, file: string): unknown => {
  const lineCounter = new LineCounter()
  const document = parseDocument(text, { lineCounter, prettyErrors: false })
  const [fault] = [...document.errors, ...document.warnings]
  if (fault) {
    const { line, col } = lineCounter.linePos(fault.pos[0])
    throw new GraftError({
      code: 'bad-recipe',
      culprit: `${file}:${line}:${col}`,
      given: fault.code === 'DUPLICATE_KEY' ? 'a key twice in one object' : `YAML with a fault: ${fault.message}`,
      expected: fault.code === 'DUPLICATE_KEY' ? 'each key once' : 'YAML',
      cause: fault,
    })
  }
  try {
    return withoutEmptySections(document.toJS())
  } catch (cause) {
    // An alias without its anchor, or too many of them.
    throw new GraftError({
      code: 'bad-recipe',
      culprit: file,
      given: (cause as Error).message,
      expected: 'YAML',
      cause,
    })
  }
}

/** In YAML a section whose keys are all commented out is null: it says nothing. */
const withoutEmptySections = (value: unknown): unknown => {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
  const sections = new Set(recipeFields().flatMap(({ key, fields }) => (fields ? [key] : [])))
  return Object.fromEntries(Object.entries(value).filter(([key, inner]) => inner !== null || !sections.has(key)))
}
