export { type LoraOptions, lora } from './lora.ts'
