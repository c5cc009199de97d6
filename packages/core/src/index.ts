export { detached } from '@graftjs/tensor'
export { canCache } from './acting.ts'
export { all } from './all.ts'
export { type ExportedAdapter, exportAdapter } from './export-adapter.ts'
export { forward } from './forward.ts'
export { type GateOptions, gated, onRows, product, scaled } from './gate.ts'
export { gaussian, kaimingUniform, zeros } from './init.ts'
export { memo } from './memo.ts'
export { merge } from './merge.ts'
export { near } from './near.ts'
export type { DerivedParam, ParamStore, StoredParam, Value, Values } from './params.ts'
export { type Additive, around, plus } from './patch.ts'
export { replacing, savedModules, savedSites } from './saved-modules.ts'
export {
  linears,
  linearsAndEmbeddings,
  patternFor,
  type SelectOptions,
  select,
  sitesOf,
  type TargetModules,
} from './select.ts'
export { swapValues } from './swap-values.ts'
export { type LoraFile, type ToLoraOptions, toLora } from './to-lora.ts'
export { trainedBiases } from './trained-biases.ts'
export { type TokenIndices, trainedTokens } from './trained-tokens.ts'
export { type TruncatedSvd, truncatedSvd } from './truncated-svd.ts'
export { type Adapter, type AttachOptions, asTuned, attach, countBase, type Tuned } from './tuned.ts'
export type * from './types.ts'
export { type KeysAndValues, virtualKeys } from './virtual-keys.ts'
export { type VirtualTokensOptions, virtualTokens } from './virtual-tokens.ts'
export { backward } from './walk.ts'
