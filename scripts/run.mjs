// The tasks of package.json. Each sets the workspace up first, so that `npm start` and `npm test` work on a clean clone.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { ensureBrowser } from './browser.mjs'
import { env, fail, node24, root, run, setup } from './setup.mjs'

const [task, ...args] = process.argv.slice(2)
const source = ['--conditions=@graftjs/source', '--disable-warning=ExperimentalWarning']
const vitest = (...more) => run('vitest', ['run', '--config', 'vitest.config.ts', ...more])

/** The path of SmolLM2-135M-Instruct's GGUF, fetched where it is not in the cache. */
const realModel = () => {
  if (process.env.GRAFT_MODEL) return process.env.GRAFT_MODEL
  const script = join(root, 'examples/spam-filter/src/print-model.ts')
  const { status, stdout } = spawnSync(node24, [...source, script], {
    cwd: root,
    env,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  if (status !== 0) process.exit(1)
  return stdout.trim()
}

const tasks = {
  start: () => run(node24, [...source, join(root, 'examples/spam-filter/src/main.ts'), ...args]),
  // `npm test -- core` runs the suites whose path contains `core`.
  test: () => {
    ensureBrowser(fail)
    if (args.length === 0) tasks.check()
    vitest(...args)
  },
  'test:real': () =>
    run('vitest', ['run', '--config', 'vitest.real.config.ts', ...args], { env: { ...env, GRAFT_MODEL: realModel() } }),
  'test:matrix': () =>
    run('vitest', ['run', '--config', 'vitest.config.ts', ...args], { env: { ...env, GRAFT_MATRIX: 'whole' } }),
  bench: () => run(node24, [...source, join(root, `bench/${args[0] ?? 'step'}.ts`), ...args.slice(1)]),
  build: () => run('turbo', ['run', 'build', ...args]),
  // `npm run docs` serves the site while it is written; `npm run docs -- build` makes docs/.vitepress/dist.
  docs: () => run('docs/node_modules/.bin/vitepress', [args[0] ?? 'dev', 'docs', ...args.slice(1)]),
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
