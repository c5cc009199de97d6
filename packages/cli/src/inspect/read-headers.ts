import { dtypeBits, fileSource, type Gguf, openGguf, openSafetensors } from '@graftjs/files'
import { countOf, type TensorFact } from './facts.ts'

/** The tensors of a safetensors file; of its weights nothing is read. */
export const safetensorsFacts = async (
  file: string,
): Promise<{ tensors: TensorFact[]; metadata: Readonly<Record<string, string>> }> => {
  const source = await fileSource(file)
  try {
    const { tensors, metadata } = await openSafetensors(source)
    return {
      tensors: [...tensors].map(([name, { dtype, shape }]) => {
        const fact = { name, dtype, shape, bytes: 0 }
        return { ...fact, bytes: (countOf(fact) * dtypeBits[dtype]) / 8 }
      }),
      metadata: Object.fromEntries(metadata),
    }
  } finally {
    await source.close()
  }
}

/** The same of a GGUF file. */
export const ggufFacts = async (file: string): Promise<{ tensors: TensorFact[]; metadata: Gguf['metadata'] }> => {
  const source = await fileSource(file)
  try {
    const { tensors, metadata } = await openGguf(source)
    return {
      tensors: [...tensors.values()].map(({ name, type, shape, bytes }) => ({ name, dtype: type, shape, bytes })),
      metadata,
    }
  } finally {
    await source.close()
  }
}
