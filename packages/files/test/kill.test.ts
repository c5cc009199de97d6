import { spawn } from 'node:child_process'
import { readdir } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { inFolder, seeded } from '../src/files.test-util.ts'
import { fromFloat32, readAdapter, toFloat32, writeAdapter } from '../src/index.ts'
import { size, tensorName } from './save-forever.test-util.ts'

const program = fileURLToPath(new URL('./save-forever.test-util.ts', import.meta.url))

/** Lets a process save adapters one after another, kills it after so many milliseconds of saving. */
const saveAndKill = async (dir: string, ms: number): Promise<void> => {
  const child = spawn(process.execPath, ['--conditions=@graftjs/source', program, dir], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const ended = new Promise((done) => child.on('exit', done))
  await new Promise((saving) => child.stdout.once('data', saving))
  await new Promise((later) => setTimeout(later, ms))
  child.kill('SIGKILL')
  await ended
}

test('killed while it saves: an adapter of one save is there, and the next save leaves no litter', async () => {
  const random = seeded(11)
  await inFolder(async (dir) => {
    for (let round = 0; round < 12; round++) {
      await saveAndKill(dir, random(40))
      const { config, tensors } = await readAdapter(dir)
      const values = toFloat32(tensors.get(tensorName)!)
      // The config says which save it is of; every number of the tensor must, too.
      expect(values).toHaveLength(size)
      expect(values.every((value) => value === config.save)).toBe(true)
    }
    const tensor = fromFloat32(tensorName, [1], Float32Array.of(1))
    await writeAdapter(dir, { config: {}, tensors: new Map([[tensorName, tensor]]) })
    expect((await readdir(dir)).sort()).toEqual(['adapter_config.json', 'adapter_model.safetensors'])
  })
})
