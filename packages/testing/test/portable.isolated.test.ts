import { browserHost } from '../portable/browser-host.ts'
import { variant } from '../portable/protocol.ts'
import { portableSuite } from '../portable/suite.ts'

portableSuite(
  'in a browser: simd on 2 threads, cross-origin isolated',
  { backend: 'simd', threads: 2, isolated: true, variant: variant() },
  browserHost(),
)
