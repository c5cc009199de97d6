import { defineConfig } from 'vitest/config'

export default defineConfig({
  resolve: { conditions: ['@graftjs/source'] },
  ssr: { resolve: { conditions: ['@graftjs/source'] } },
  test: {
    include: ['packages/**/*.test.ts', 'scripts/**/*.test.ts'],
    exclude: ['**/node_modules/**', '**/dist/**', '**/*.real.test.ts'],
    testTimeout: 30_000,
    pool: 'forks',
  },
})
