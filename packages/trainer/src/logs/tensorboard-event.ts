import { concat, double, float, integer, message, string } from './protobuf.ts'
import { tfrecord } from './tfrecord.ts'

// Fields by the numbers of TensorBoard's event.proto, summary.proto and tensor.proto.

/** The record that opens each file; TensorBoard reads what follows by it. */
export const versionRecord = (wallTime: number): Uint8Array => tfrecord(event(wallTime, 0, string(3, 'brain.Event:2')))

/** What was logged of `step` and later before this record counts no more: SessionLog.START. */
export const purgeRecord = (wallTime: number, step: number): Uint8Array =>
  tfrecord(event(wallTime, step, message(7, [integer(1, 1)])))

export const scalarsRecord = (wallTime: number, step: number, scalars: Readonly<Record<string, number>>): Uint8Array =>
  tfrecord(
    event(
      wallTime,
      step,
      message(
        5,
        Object.entries(scalars).map(([tag, value]) => message(1, [string(1, tag), float(2, value)])),
      ),
    ),
  )

/** Markdown, as TensorBoard shows text. The shape is a scalar's: of a list it would make a table. */
export const textRecord = (wallTime: number, step: number, tag: string, text: string): Uint8Array => {
  const tensor = message(8, [integer(1, DT_STRING), message(2, []), string(8, text)])
  const metadata = message(9, [message(1, [string(1, 'text')])])
  return tfrecord(event(wallTime, step, message(5, [message(1, [string(1, tag), tensor, metadata])])))
}

const DT_STRING = 7

const event = (wallTime: number, step: number, what: Uint8Array): Uint8Array =>
  concat([double(1, wallTime), integer(2, step), what])
