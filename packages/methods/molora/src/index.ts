export { type MoloraOptions, molora } from './molora.ts'
export { type MovOptions, mov } from './mov.ts'
