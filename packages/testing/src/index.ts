export * from './conformance/index.ts'
export * from './executor/index.ts'
export * as methods from './methods/index.ts'
export { type TinyDecoderOptions, tinyDecoder } from './models/decoder.ts'
export { type TinyEncoderOptions, tinyEncoder } from './models/encoder.ts'
export {
  type EncoderDecoderConfig,
  type TinyEncoderDecoderOptions,
  tinyEncoderDecoder,
} from './models/encoder-decoder.ts'
export { randomLlama, smolLm2 } from './random-llama.ts'
export { relativeError } from './relative-error.ts'
export { standIns } from './stand-ins.ts'
