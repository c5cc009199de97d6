import { z } from 'zod'
import { recipeSchema } from './recipe-schema.ts'

/** As much of JSON Schema (draft 7, which editors read best) as a recipe's schema has. */
export interface JsonSchema {
  readonly type?: string
  readonly const?: unknown
  readonly enum?: readonly unknown[]
  readonly minimum?: number
  readonly maximum?: number
  readonly exclusiveMinimum?: number
  readonly description?: string
  readonly default?: unknown
  readonly examples?: readonly unknown[]
  readonly properties?: Readonly<Record<string, JsonSchema>>
  readonly required?: readonly string[]
  readonly additionalProperties?: boolean | JsonSchema
  readonly items?: JsonSchema
  readonly anyOf?: readonly JsonSchema[]
}

let made: JsonSchema | undefined

/** The schema of recipes as JSON: what recipe.schema.json holds. */
export const recipeJsonSchema = (): JsonSchema => {
  made ??= {
    ...z.toJSONSchema(recipeSchema, {
      target: 'draft-7',
      override: ({ jsonSchema }) => {
        // The largest whole number of JavaScript is no rule of ours.
        if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum
      },
    }),
    title: 'Graft recipe',
  } as JsonSchema
  return made
}

/** The schema at a path of a value: through lists, and through the alternative that has keys. */
export const schemaAt = (path: readonly PropertyKey[], schema: JsonSchema = recipeJsonSchema()): JsonSchema => {
  const [key, ...rest] = path
  if (key === undefined) return withKeys(schema) ?? schema
  const next =
    typeof key === 'number'
      ? alternatives(schema).find(({ items }) => items)?.items
      : withKeys(schema)?.properties?.[String(key)]
  return next ? schemaAt(rest, next) : {}
}

const alternatives = (schema: JsonSchema): readonly JsonSchema[] => schema.anyOf ?? [schema]
const withKeys = (schema: JsonSchema): JsonSchema | undefined =>
  alternatives(schema).find(({ properties }) => properties)
