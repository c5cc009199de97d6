import { simdInfo, useSimd } from '@graftjs/kernels'
import { type Command, parse, printJson, say } from '../command.ts'

export const devices: Command = {
  summary: 'what this machine offers, and what was chosen',
  help: `graft devices [--json]

Probes the kernel variants (a few milliseconds) and says which one runs: plain, relaxed (fused multiply-add) or wide
(16-wide tiles, worth it where V8 widens SIMD to AVX2). GRAFT_KERNEL pins one, GRAFT_THREADS the threads.`,
  run: async (args) => {
    const { values } = parse(args, { json: { type: 'boolean' } })
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
