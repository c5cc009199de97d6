import { encoderDecoderBed } from '../../src/index.ts'
import { testStandIns } from './stand-ins.ts'

testStandIns(encoderDecoderBed)
