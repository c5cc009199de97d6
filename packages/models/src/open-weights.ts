import { fileSource, openSafetensors, openSharded, type Safetensors } from '@graftjs/files'

export interface OpenWeights extends Safetensors {
  /** For errors. */
  readonly path: string
  close(): Promise<void>
}

/** model.safetensors of a folder, or the shards that its index names. */
export const openWeights = async (dir: string): Promise<OpenWeights> => {
  const { access } = await import('node:fs/promises')
  const has = (file: string): Promise<boolean> =>
    access(`${dir}/${file}`).then(
      () => true,
      () => false,
    )
  const index = 'model.safetensors.index.json'
  if (!(await has('model.safetensors')) && (await has(index)))
    return { ...(await openSharded(dir)), path: `${dir}/${index}` }
  const path = `${dir}/model.safetensors`
  const source = await fileSource(path)
  try {
    return { ...(await openSafetensors(source)), path, close: () => source.close() }
  } catch (error) {
    await source.close()
    throw error
  }
}
