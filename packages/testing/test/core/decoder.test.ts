import { decoderBed } from '../../src/index.ts'
import { testStandIns } from './stand-ins.ts'

testStandIns(decoderBed)
