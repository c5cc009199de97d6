// The main job of the repository: a real model learns a real task on this machine's CPU, from start to file.
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { attach, forward, type Tuned } from '@graftjs/core'
import { encodeExamples } from '@graftjs/data'
import { useSimd } from '@graftjs/kernels'
import { lora } from '@graftjs/lora'
import { loadAdapter, loadModel, padRows, saveAdapter } from '@graftjs/models'
import { adamw, linear } from '@graftjs/optim'
import { scope } from '@graftjs/tensor'
import { GraftError, isGraftError } from '@graftjs/tensor/error'
import { progress, report, sparkline, train } from '@graftjs/trainer'
import { accuracy, classify, question } from './classify.ts'
import { type Label, loadMails, type Mail } from './mails.ts'
import { obtainModel } from './model-source.ts'

const help = `npm start -- [options]

  --model PATH    a folder with config.json and safetensors, or a .gguf file (default: SmolLM2-135M-Instruct, fetched once)
  --quick         20 steps and a smaller test, in a few minutes
  --seed N        of the mails chosen, the adapter's start and the order of training (default 0)
  --out DIR       where the adapter and the report go (default out/spam-filter)
  --export FILE   also writes the tokenised rows as JSON, for the side measurement with PyTorch`

const say = (text = ''): void => void process.stdout.write(`${text}\n`)
const show = (mail: Mail): string =>
  mail.text
    .replace(/^Subject: /, '')
    .replace(/\s+/g, ' ')
    .slice(0, 58)
    .padEnd(58)
const percent = ({ mean, standardError }: { mean: number; standardError: number }): string =>
  `${(100 * mean).toFixed(1)} % ± ${(100 * standardError).toFixed(1)}`

const options = {
  model: { type: 'string' },
  quick: { type: 'boolean', default: false },
  seed: { type: 'string', default: '0' },
  out: { type: 'string', default: 'out/spam-filter' },
  export: { type: 'string' },
  help: { type: 'boolean', default: false },
} as const

const main = async (): Promise<void> => {
  const { values } = parseArgs({ options })
  if (values.help) return say(help)
  const seed = Number(values.seed)
  if (!Number.isSafeInteger(seed) || seed < 0)
    throw new GraftError({ code: 'bad-option', culprit: '--seed', given: values.seed, expected: 'a whole number ≥ 0' })
  const size = values.quick ? { train: 160, heldOut: 48, steps: 20 } : { train: 320, heldOut: 96, steps: 40 }
  const { out } = values
  const clock = createClock()

  const { variant, threads } = await useSimd()
  say(`Graft · a spam filter from SmolLM2-135M and LoRA · kernels ${variant}, ${threads} threads`)
  const path = values.model ?? (await obtainModel(say))
  const model = await loadModel(path)
  const { tokenizer } = model
  if (!tokenizer)
    throw new GraftError({
      code: 'no-tokenizer',
      culprit: path,
      given: 'a model without tokenizer.json',
      expected: 'one with it',
    })
  clock.lap('model')
  const mails = await loadMails(size.train, size.heldOut, seed)
  const rows = mails.train.map((mail) => question(tokenizer, mail))
  const { samples } = encodeExamples(tokenizer, rows, { maxLength: 512, eos: false, name: 'mails' })
  say(
    `${mails.train.length} mails to learn from, ${mails.heldOut.length} held out, half of each spam; no text is in both`,
  )
  clock.lap('mails')

  const tuned = attach(model, lora({ r: 8, loraAlpha: 16, targetModules: 'all-linear' }), { seed })
  say(tuned.describe())
  const live = process.stdout.isTTY === true
  const judged = (done: number): void =>
    void process.stdout.write(
      live
        ? `\r\x1b[2K${done} of ${mails.heldOut.length} mails judged${done === mails.heldOut.length ? '\n' : ''}`
        : `${done} of ${mails.heldOut.length} mails judged\n`,
    )
  const answers: Label[][] = []
  const metrics = async (): Promise<{ accuracy: number }> => {
    const said = classify(tuned, tokenizer, mails.heldOut, judged)
    answers.push(said)
    return { accuracy: accuracy(said, mails.heldOut).mean }
  }
  const optimizer = adamw({ learningRate: 5e-4, weightDecay: 0 })
  const { losses } = await train(tuned, samples, {
    optimizer,
    schedule: linear({ warmupRatio: 0.1 }),
    steps: size.steps,
    batchSize: 8,
    seed,
    clip: 1,
    keep: 'all',
    evaluation: {
      metrics,
      continuations: async () =>
        mails.heldOut.slice(0, 5).map((mail, i) => ({
          prompt: question(tokenizer, mail).prompt,
          text: `${answers.at(-1)![i]} (it is ${mail.label})`,
        })),
    },
    callbacks: [
      progress({ live, write: (text) => void process.stdout.write(text) }),
      report({
        path: join(out, 'report.html'),
        title: 'A spam filter from SmolLM2-135M and LoRA',
        facts: { kernels: `${variant}, ${threads} threads`, adapter: tuned.describe() },
        versions: { node: process.version },
      }),
    ],
  })
  optimizer.dispose()
  clock.lap('training and evaluation')
  const [before, after] = [answers[0]!, answers.at(-1)!]
  say(`\nof the held-out mails told right: ${percent(accuracy(before, mails.heldOut))} before`)
  say(`                                  ${percent(accuracy(after, mails.heldOut))} after`)

  say('\nfive held-out mails                                         truth  before  after')
  for (const [i, mail] of mails.heldOut.slice(0, 5).entries())
    say(`${show(mail)}  ${mail.label.padEnd(6)} ${before[i]!.padEnd(7)} ${after[i]}`)
  say(`\nloss  ${losses[0]!.toFixed(2)} ${sparkline(losses)} ${losses.at(-1)!.toFixed(2)}`)

  await saveAdapter(tuned, join(out, 'adapter'))
  if (values.export) await writeFile(values.export, JSON.stringify(exported(tokenizer, mails, samples)))
  const again = await loadAdapter(model, join(out, 'adapter'), [lora])
  requireEqualLogits(tuned, again, mails.heldOut.slice(0, 8), tokenizer)
  say(
    `\nadapter  ${join(out, 'adapter')}  (PEFT's format; loaded again from disk: equal logits on 8 mails)\nreport   ${join(out, 'report.html')}`,
  )
  clock.lap('saving and reloading')
  say(`seconds  ${clock.laps()}`)
  const totals = {
    before: accuracy(before, mails.heldOut).mean,
    after: accuracy(after, mails.heldOut).mean,
    seconds: clock.seconds(),
    seed,
    losses,
  }
  await writeFile(join(out, 'result.json'), `${JSON.stringify(totals, null, 1)}\n`)
}

const requireEqualLogits = (
  a: Tuned,
  b: Tuned,
  mails: readonly Mail[],
  tokenizer: Parameters<typeof question>[0],
): void => {
  const batch = padRows(
    mails.map((mail) => tokenizer.encode(question(tokenizer, mail).prompt, { addSpecialTokens: false })),
    0,
    'left',
  )
  const logits = (tuned: Tuned): Float32Array =>
    scope(() => forward(tuned, batch).logits(-1).dataSync() as Float32Array)
  const [x, y] = [logits(a), logits(b)]
  const at = x.findIndex((v, i) => v !== y[i])
  if (at >= 0)
    throw new GraftError({
      code: 'reload-differs',
      culprit: 'adapter',
      given: `logit ${at} of ${y[at]} after loading`,
      expected: `${x[at]}, as before saving`,
    })
}

/** The same rows for another trainer: prompts, targets and labels as ids. */
const exported = (
  tokenizer: Parameters<typeof question>[0],
  mails: { train: Mail[]; heldOut: Mail[] },
  samples: readonly { ids: readonly number[]; labels: readonly number[] }[],
): object => {
  const held = mails.heldOut.map((mail) => ({
    ids: tokenizer.encode(question(tokenizer, mail).prompt, { addSpecialTokens: false }),
    label: mail.label,
  }))
  const [spam, ham] = [' spam', ' ham'].map((word) => tokenizer.encode(word, { addSpecialTokens: false })[0])
  return { train: samples.map(({ ids, labels }) => ({ ids, labels })), heldOut: held, spam, ham }
}

const createClock = () => {
  const laps: [string, number][] = []
  let from = performance.now()
  return {
    lap: (name: string): void => {
      laps.push([name, (performance.now() - from) / 1000])
      from = performance.now()
    },
    laps: (): string => laps.map(([name, s]) => `${name} ${s.toFixed(1)}`).join(' · '),
    seconds: (): Record<string, number> => Object.fromEntries(laps),
  }
}

const isBadOption = (error: unknown): boolean => String((error as { code?: string }).code).startsWith('ERR_PARSE_ARGS')

try {
  await main()
} catch (error) {
  process.stderr.write(
    `npm start: ${isGraftError(error) || isBadOption(error) ? (error as Error).message : (error as Error).stack}\n`,
  )
  process.exitCode = 1
}
