export {
  addWeightedAdapter,
  type CombinationType,
  type MaskPlace,
  type WeightedAdapter,
  type WeightedAdapterOptions,
} from './add-weighted-adapter.ts'
export type { MajoritySign, Mask } from './combine.ts'
export { lora } from './lora.ts'
export type { LoraConfig, LoraOptions } from './options.ts'
