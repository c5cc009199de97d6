import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Reporter, TestModule } from 'vitest/node'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')

/** The seconds of each suite, why tests were skipped, then one plain line that any CI can read. */
export default class SummaryReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], errors: readonly unknown[]): void {
    const count = { passed: 0, failed: errors.length, skipped: 0 }
    const lines: string[] = []
    const skipped = new Map<string, number>()
    for (const module of modules) {
      for (const test of module.children.allTests()) {
        const result = test.result()
        count[result.state === 'passed' ? 'passed' : result.state === 'failed' ? 'failed' : 'skipped']++
        const note = result.state === 'skipped' && result.note
        if (note) skipped.set(note, (skipped.get(note) ?? 0) + 1)
      }
      if (module.state() === 'failed' && [...module.children.allTests()].length === 0) count.failed++
      lines.push(
        `${(module.diagnostic().duration / 1000).toFixed(1).padStart(7)} s  ${relative(root, module.moduleId)}`,
      )
    }
    const reasons = [...skipped].map(([note, tests]) => `${tests} skipped: ${note}\n`).join('')
    const summary = `${count.passed} passed, ${count.failed} failed, ${count.skipped} skipped`
    mkdirSync(join(root, '.cache'), { recursive: true })
    writeFileSync(join(root, '.cache/test-summary.json'), JSON.stringify(count))
    process.stdout.write(`\nSeconds per suite\n${lines.sort().reverse().join('\n')}\n\n${reasons}${summary}\n`)
  }
}
