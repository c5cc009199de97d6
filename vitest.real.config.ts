import { defineConfig, mergeConfig } from 'vitest/config'
import base from './vitest.config.ts'

/** The suites that need the real model (98 MB): `npm run test:real`. */
const config = mergeConfig(base, defineConfig({ test: { testTimeout: 600_000, fileParallelism: false } }))
config.test!.include = ['packages/**/*.real.test.ts']
config.test!.exclude = ['**/node_modules/**', '**/dist/**']
export default config
