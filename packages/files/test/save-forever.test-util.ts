import { argv, stdout } from 'node:process'
import { fromFloat32, writeAdapter } from '../src/index.ts'

export const tensorName = 'layer.lora_A.weight'
export const size = 20_000

/** A process of its own: saves until it is killed. Every number of a save is its number. */
const saveForever = async (dir: string): Promise<void> => {
  for (let save = 1; ; save++) {
    const tensor = fromFloat32(tensorName, [size], new Float32Array(size).fill(save))
    await writeAdapter(dir, { config: { save }, tensors: new Map([[tensorName, tensor]]) })
    if (save === 1) stdout.write('saving\n')
  }
}

if (argv[1] === import.meta.filename) await saveForever(argv[2]!)
