import { dawnHost } from '../portable/dawn-host.ts'
import { variant } from '../portable/protocol.ts'
import { portableSuite } from '../portable/suite.ts'

portableSuite('in Node: stock WebGPU through Dawn', { backend: 'webgpu', threads: 1, variant: variant() }, dawnHost())
