export { main } from './main.ts'
export { RECIPE_FORMAT, RECIPE_VERSION, type Recipe, readRecipe } from './recipe.ts'
