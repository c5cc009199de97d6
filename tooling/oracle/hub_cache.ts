// The wishes of hub_cache.py, by Graft. Prints the answers as JSON.
import { hubFile, hubSnapshot } from '../../packages/files/src/index.ts'

const of = async (file: string, revision = 'main'): Promise<string> => {
  try {
    return (await hubFile('owner/name', file, { revision })).path
  } catch (error) {
    const { code } = error as { code?: string }
    if (code === 'no-such-file' || code === 'not-cached') return 'none'
    throw error
  }
}

const found = [
  await of('config.json'),
  await of('model.safetensors'),
  await of('empty'),
  await of('onnx/deep/config.json', 'refs/pr/1'),
  await of('config.json', 'v1.0'),
  await of('model.safetensors', '2'.repeat(40)),
  await of('none.json', '1'.repeat(40)),
]
const { folder } = await hubSnapshot('owner/name', { allow: ['*.json', 'model.*'] })
console.log(JSON.stringify([...found, folder]))
