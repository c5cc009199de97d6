import { fromFloat32, writeAdapter } from '@graftjs/files'
import { lora } from '@graftjs/lora'
import { random } from '@graftjs/tensor'

/** Writes a LoRA adapter of random values for the tiny model's query and value projections. */
export const writeTinyAdapter = (dir: string, baseModel: string): Promise<void> => {
  const [r, d, out] = [2, 24, { q_proj: 24, v_proj: 8 }]
  const tensors = [0, 1].flatMap((layer) =>
    (['q_proj', 'v_proj'] as const).flatMap((role) => {
      const at = `model.layers.${layer}.self_attn.${role}`
      return [
        [`${at}.lora_A.weight`, [r, d]],
        [`${at}.lora_B.weight`, [out[role], r]],
      ] as [string, number[]][]
    }),
  )
  return writeAdapter(dir, {
    config: {
      ...lora.kind.write(lora({ r, loraAlpha: 4, targetModules: ['q_proj', 'v_proj'] })),
      base_model_name_or_path: baseModel,
    },
    tensors: new Map(
      tensors.map(([name, shape]) => {
        const values = random(5, name).fill(new Float32Array(shape[0]! * shape[1]!), 'normal')
        return [
          name,
          fromFloat32(
            name,
            shape,
            values.map((v) => 0.5 * v),
          ),
        ]
      }),
    ),
  })
}
