import { browserHost } from '../portable/browser-host.ts'
import { variant } from '../portable/protocol.ts'
import { portableSuite } from '../portable/suite.ts'

portableSuite(
  'in a browser: simd on 1 thread, not isolated',
  { backend: 'simd', threads: 1, isolated: false, variant: variant() },
  browserHost(),
)
