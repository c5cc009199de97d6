import { simdInfo, useSimd } from '@graftjs/kernels'
import { type Command, jsonOption, printJson, say } from '../command.ts'

export const devices: Command = {
  summary: 'what this machine offers, and what was chosen',
  usage: ['[--json]'],
  about: `Probes the kernel variants (a few milliseconds) and says which one runs: plain, relaxed (fused multiply-add) or wide
(16-wide tiles, worth it where V8 widens SIMD to AVX2). GRAFT_KERNEL pins one, GRAFT_THREADS the threads.`,
  options: { json: jsonOption },
  run: async ({ values }) => {
    await useSimd()
    const { variant, threads, probe } = simdInfo()!
    const { node, v8 } = process.versions
    if (values.json) return printJson({ backend: 'simd', variant, threads, probe, node, v8 })
    say(
      `backend   simd (WebAssembly SIMD on CPU threads)\nvariant   ${variant}\nthreads   ${threads}\nnode      ${node} (V8 ${v8})`,
    )
    for (const [name, ms] of Object.entries(probe)) say(`probe     ${name.padEnd(8)} ${ms.toFixed(3)} ms`)
  },
}
