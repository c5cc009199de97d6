import { writeFileSync } from 'node:fs'
import { recipeJsonSchema } from './recipe-json-schema.ts'

// `pnpm --filter @graftjs/cli schema` runs this after the schema has changed.
writeFileSync(new URL('../recipe.schema.json', import.meta.url), `${JSON.stringify(recipeJsonSchema(), null, 2)}\n`)
