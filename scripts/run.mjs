// The tasks of package.json. Each sets the workspace up first, so that `npm start` and `npm test` work on a clean clone.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { env, node24, root, run, setup } from './setup.mjs'

const [task, ...args] = process.argv.slice(2)
const source = ['--conditions=@graftjs/source', '--disable-warning=ExperimentalWarning']
const vitest = (...more) => run('vitest', ['run', '--config', 'vitest.config.ts', ...more])

const tasks = {
  start: () => run(node24, [...source, join(root, 'examples/spam-filter/src/main.ts'), ...args]),
  // `npm test -- core` runs the suites whose path contains `core`.
  test: () => (args.length ? vitest(...args) : (tasks.check(), vitest())),
  'test:real': () => run('vitest', ['run', '--config', 'vitest.real.config.ts', ...args]),
  'test:matrix': () =>
    run('vitest', ['run', '--config', 'vitest.config.ts', ...args], { env: { ...env, GRAFT_MATRIX: 'whole' } }),
  bench: () => run(node24, [...source, join(root, `bench/${args[0] ?? 'step'}.ts`), ...args.slice(1)]),
  build: () => run('turbo', ['run', 'build', ...args]),
  check: () => {
    run('biome', ['check', '--error-on-warnings', '.'])
    run('tsc', ['-p', 'tsconfig.json'])
    run(node24, [join(root, 'scripts/check-layers.mjs')])
  },
}

if (!tasks[task]) {
  process.stderr.write(`unknown task ${task}; there are ${Object.keys(tasks).join(', ')}\n`)
  process.exit(2)
}
setup()
if (!existsSync(node24)) throw new Error('node_modules/node is missing: remove node_modules and run again')
tasks[task]()
