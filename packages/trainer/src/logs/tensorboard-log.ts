import { GraftError } from '@graftjs/tensor/error'
import type { Continuation, TrainCallbacks } from '../callbacks.ts'
import { concat } from './protobuf.ts'
import { purgeRecord, scalarsRecord, textRecord, versionRecord } from './tensorboard-event.ts'

export interface TensorBoardOptions {
  /** Seconds since 1970. Default: the clock. */
  readonly now?: () => number
}

/**
 * Event files for TensorBoard, in Node: `loss`, `learning_rate`, `grad_norm`, `tokens_per_second` and `memory_mib` a step,
 * `eval/NAME` for each metric of an evaluation, `samples/N` for what the model says to the prompts, `events` for the rest.
 *
 * Each call of `train` writes a file of its own, beside those that are there. Of a resumed run, TensorBoard shows the
 * earlier files up to the step it goes on from; of one that starts afresh in the same folder, nothing of the earlier ones.
 * A write that fails ends the run with `write-failed`.
 *
 * @param dir the folder, as in `tensorboard --logdir`; a run a folder.
 */
export const tensorBoardLog = (dir: string, options: TensorBoardOptions = {}): TrainCallbacks => {
  const now = options.now ?? (() => Date.now() / 1000)
  let path: string | undefined
  const add = async (records: readonly Uint8Array[]): Promise<void> => {
    path ??= await newFile(dir, now())
    await append(path, concat(records))
  }
  return {
    onStart: async ({ done }) => {
      path = await newFile(dir, now())
      await add([versionRecord(now()), purgeRecord(now(), done === 0 ? 0 : done + 1)])
    },
    onStep: (r) => {
      const scalars = {
        loss: r.loss,
        learning_rate: r.learningRate,
        grad_norm: r.gradNorm,
        tokens_per_second: r.tokens / r.seconds,
        memory_mib: r.bytes / 2 ** 20,
      }
      return add([scalarsRecord(now(), r.step, scalars)])
    },
    onEvaluation: ({ step, metrics, continuations }) => {
      const scalars = Object.fromEntries(Object.entries(metrics).map(([name, value]) => [`eval/${name}`, value]))
      const texts = continuations.map((said, i) => textRecord(now(), step, `samples/${i + 1}`, markdown(said)))
      return add([...(Object.keys(metrics).length ? [scalarsRecord(now(), step, scalars)] : []), ...texts])
    },
    onEvent: ({ step, code, message }) => add([textRecord(now(), step, 'events', `**${code}** ${message}`)]),
  }
}

/** Indented by four, text is shown as it is, whatever it holds. */
const markdown = ({ prompt, text }: Continuation): string =>
  `Prompt\n\n${indented(prompt)}\n\nContinuation\n\n${indented(text)}`

const indented = (text: string): string => text.replace(/^/gm, '    ')

/** A name that no other run took; by name, files sort as they were begun, which is how TensorBoard reads them. */
const newFile = async (dir: string, seconds: number): Promise<string> => {
  const { mkdir, readdir, writeFile } = await import('node:fs/promises')
  try {
    await mkdir(dir, { recursive: true })
    const before = (await readdir(dir)).filter((name) => name.startsWith(PREFIX))
    // A clock that was set back must not put the new file before the old ones.
    const latest = Math.max(
      Math.floor(seconds),
      ...before.map((name) => Number.parseInt(name.slice(PREFIX.length), 10) || 0),
    )
    for (let n = before.length; ; n++) {
      const path = `${dir}/${PREFIX}${latest}.graft.${String(n).padStart(4, '0')}`
      const free = await writeFile(path, '', { flag: 'wx' }).then(
        () => true,
        (cause: NodeJS.ErrnoException) => {
          if (cause.code === 'EEXIST') return false
          throw cause
        },
      )
      if (free) return path
    }
  } catch (cause) {
    throw failed(dir, cause as Error)
  }
}

const PREFIX = 'events.out.tfevents.'

const append = async (path: string, bytes: Uint8Array): Promise<void> => {
  const { appendFile } = await import('node:fs/promises')
  await appendFile(path, bytes).catch((cause: Error) => {
    throw failed(path, cause)
  })
}

const failed = (path: string, cause: Error): GraftError =>
  new GraftError({
    code: 'write-failed',
    culprit: path,
    message: `${path}: cannot be written to (${cause.message})`,
    cause,
  })
