export { type AdapterFolder, readAdapter, writeAdapter } from './adapter-folder.ts'
export { atomicWriteFolder, wholeSets } from './atomic-folder.ts'
export { atomicWrite, type Bytes } from './atomic-write.ts'
export { type ByteSource, blobSource, bytesSource, fileSource } from './byte-source.ts'
export { cacheDir } from './cache-dir.ts'
export {
  CHECKPOINT_FORMAT,
  CHECKPOINT_VERSION,
  type Checkpoint,
  type CheckpointPlace,
  listCheckpoints,
} from './checkpoint.ts'
export { dequantize } from './dequantize.ts'
export { type DownloadOptions, download } from './download.ts'
export { type Gguf, type GgufTensor, openGguf } from './gguf.ts'
export type { GgufType } from './gguf-types.ts'
export { type GgufValue, ggufValue } from './gguf-value.ts'
export { hubUrl } from './hub-url.ts'
export { type Dtype, dtypeBits, fromFloat32, type NamedTensor, toFloat32 } from './named-tensor.ts'
export { peftKey } from './peft-key.ts'
export { pythonJson } from './python-json.ts'
export { newestCheckpoint, readCheckpoint } from './read-checkpoint.ts'
export { openSafetensors, type Safetensors } from './safetensors.ts'
export { sha256File } from './sha256-file.ts'
export { isJsonObject, type Json, type JsonObject, strictJson } from './strict-json.ts'
export { type TarEntry, untar } from './untar.ts'
export { unzipEntry } from './unzip-entry.ts'
export { removeCheckpoints, type WriteCheckpointOptions, writeCheckpoint } from './write-checkpoint.ts'
export { nodeFs, type WriteFs, type WriteHandle } from './write-fs.ts'
export { writeSafetensors } from './write-safetensors.ts'
