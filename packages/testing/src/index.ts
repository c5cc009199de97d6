export { randomLlama, smolLm2 } from './random-llama.ts'
export { relativeError } from './relative-error.ts'
