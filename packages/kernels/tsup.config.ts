import { library } from '@graftjs/tsup'

export default library(['src/index.ts', 'src/platform/node.ts', 'src/platform/browser.ts'], {
  // The platforms are reached by package.json's `imports` alone.
  dts: { entry: 'src/index.ts' },
})
