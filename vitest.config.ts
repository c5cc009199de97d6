import { defineConfig } from 'vitest/config'

export default defineConfig({
  resolve: { conditions: ['@graftjs/source', 'node'] },
  ssr: { resolve: { conditions: ['@graftjs/source', 'node'] } },
  test: {
    include: ['packages/**/*.test.ts', 'scripts/**/*.test.ts'],
    exclude: ['**/node_modules/**', '**/dist/**', '**/*.real.test.ts'],
    testTimeout: 60_000,
    pool: 'forks',
    // Two suites at a time at most: each one may run worker threads of its own.
    maxWorkers: 2,
    env: { GRAFT_KERNEL: process.env.GRAFT_KERNEL ?? 'relaxed' },
    reporters: ['default', './scripts/summary-reporter.ts'],
  },
})
