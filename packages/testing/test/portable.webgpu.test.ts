import { browserHost } from '../portable/browser-host.ts'
import { variant } from '../portable/protocol.ts'
import { portableSuite } from '../portable/suite.ts'

portableSuite(
  'in a browser: stock WebGPU on a software adapter',
  { backend: 'webgpu', threads: 1, isolated: false, variant: variant() },
  browserHost(),
)
