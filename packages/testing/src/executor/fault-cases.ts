import { all, around, backward, forward, gaussian, linears, type Method, plus, sitesOf } from '@graftjs/core'
import { createCache } from '@graftjs/models'
import { clone, detached, dispose, mul, scalar, scope, type Tensor, topk } from '@graftjs/tensor'
import { meanLoss } from '../conformance/measure.ts'
import { lora } from '../methods/index.ts'
import { batch, type ExecutorCase, executorCase, expect, on, stepOn, thrownBy } from './case.ts'

type Patching = Method['attach']

const faulty = (name: string, attach: Patching): Method => ({ name, config: {}, attach })

/** A fault, the code of its error, and what its sentence must say. */
interface Fault {
  readonly name: string
  readonly method: Method
  readonly code: string
  readonly says: readonly RegExp[]
  readonly keep?: 'none' | 'all'
  /** Whether the sentence of another error is told as its cause. */
  readonly cause?: boolean
}

const layer0 = 'model.layers.0'

/** Depends on a parameter and is made where the stage that reads it does not see it. */
const captured = faulty('capturing', (model, params) => {
  const g = params.add('g', [1], gaussian(1))
  let outside: Tensor
  return [
    around(model.backbone, (s, next) => {
      outside = mul(g(), 2)
      return next(s)
    }),
    plus(linears(model, ['q_proj'])[0]!, (_x, y) => mul(y, outside)),
  ]
})

const freed = faulty('freed', (model) => {
  const gone = scalar(2)
  dispose(gone)
  return [plus(linears(model, ['q_proj'])[0]!, (_x, y) => mul(y, gone))]
})

const async = faulty('async', (model) => [
  around(sitesOf(model, 'sublayer')[0]!, (async (x: Tensor) => x) as unknown as () => Tensor),
])

const scoped = faulty('scoped', (model) => [around(sitesOf(model, 'sublayer')[0]!, (x, next) => scope(() => next(x)))])

const scopedDropout = faulty('scoped', (model) => [
  plus(linears(model, ['q_proj'])[0]!, (_x, y, run) => scope(() => run.dropout(y, 0.5))),
])

const otherFrame = faulty('framing', (model) => [
  around(sitesOf(model, 'layer').find((site) => site.path === layer0)!, (s, next) => {
    const out = next(s)
    return { ...out, frame: { ...out.frame, segments: clone(out.frame.segments) } }
  }),
])

const throwing = faulty('throwing', (model) => [
  around(linears(model, ['q_proj'])[0]!, () => {
    throw new Error('boom')
  }),
])

const gradientless = faulty('gradientless', (model, params) => {
  const g = params.add('g', [1], gaussian(1))
  return [plus(linears(model, ['q_proj'])[0]!, (_x, y) => topk(mul(y, g()), y.shape.at(-1)!).values)]
})

const faults: readonly Fault[] = [
  {
    name: 'a tensor made outside the stage',
    method: captured,
    code: 'captured-tensor',
    says: [/model\.layers\.0/, /made outside this stage/],
  },
  {
    name: 'the same, with kept stages',
    method: captured,
    keep: 'all',
    code: 'captured-tensor',
    says: [/model\.layers\.0/],
  },
  {
    name: 'a freed tensor',
    method: freed,
    code: 'freed-tensor',
    says: [/^model\.layers\.0\.self_attn\.q_proj: freed: /, /was freed/],
    cause: true,
  },
  {
    name: 'an async patch',
    method: async,
    code: 'async-stage',
    says: [/model\.layers\.0\.self_attn/, /async returned a Promise/],
  },
  {
    name: 'a scope around next',
    method: scoped,
    code: 'scope-in-method',
    says: [/model\.layers\.0\.self_attn/, /scoped opens a scope/],
  },
  { name: 'a scope around run.dropout', method: scopedDropout, code: 'scope-in-method', says: [/model\.layers\.0/] },
  {
    name: 'another frame from a patch',
    method: otherFrame,
    code: 'frame-changed',
    says: [/^model\.layers\.0: framing returns another frame/],
  },
  {
    name: 'an error in a patch',
    method: throwing,
    code: 'stage-failed',
    says: [/^model\.layers\.0\.self_attn\.q_proj: throwing: boom/],
    cause: true,
  },
  {
    name: 'an op without a gradient',
    method: gradientless,
    code: 'no-gradient',
    says: [/model\.layers\.0/, /has no gradient/],
    cause: true,
  },
]

const faultCase = ({ name, method, code, says, keep = 'none', cause = false }: Fault): ExecutorCase =>
  executorCase(`a fault: ${name}`, () =>
    on(method, async (tuned) => {
      const error = await thrownBy(() => stepOn(tuned, { keep, training: true }))
      expect(error.code, code, `the code of "${error.message}"`)
      for (const part of says) expect(part.test(error.message), true, `"${error.message}" says ${part}`)
      expect(error.cause !== undefined, cause, `"${error.message}" has a cause`)
    }),
  )

/** What no single patch is to blame for. */
const callFaults: readonly ExecutorCase[] = [
  executorCase('a fault: a tensor of the loss, in a stage with a gradient of its own', () => {
    const held: { factor?: Tensor } = {}
    const capturing = faulty('capturing', (model, params) => {
      params.add('g', [1], gaussian(1))
      return [plus(linears(model, ['q_proj'])[0]!, (_x, y) => (held.factor ? mul(y, held.factor) : y))]
    })
    return on(all(capturing, lora()), async (tuned) => {
      const loss = (): Tensor => {
        held.factor = mul(tuned.params.all.get('g')!(), 2)
        return meanLoss(tuned, batch)
      }
      const error = await thrownBy(() => backward(loss, () => {}))
      expect(error.code, 'captured-tensor', error.message)
      expect(/^model\.layers\.0: .* made outside this stage/.test(error.message), true, error.message)
    })
  }),
  executorCase('a fault: a cache while training', () =>
    on(lora(), async (tuned) => {
      const cache = createCache()
      const error = await thrownBy(() => stepOn(tuned, { cache }))
      cache.dispose()
      expect(error.code, 'cache-while-training', error.message)
    }),
  ),
  executorCase('a fault: a parameter read while the method attaches', async () => {
    const early = faulty('early', (model, params) => {
      const g = params.add('g', [1], gaussian(1))
      const twice = mul(g(), 2)
      return [plus(linears(model, ['q_proj'])[0]!, (_x, y) => mul(y, twice))]
    })
    const error = await thrownBy(() => on(early, () => {}))
    expect(error.code, 'read-in-attach', error.message)
    expect(/^g: read while the method attaches/.test(error.message), true, error.message)
  }),
  executorCase('a fault: a parameter of no shape', async () => {
    const shapeless = faulty('shapeless', (_, params) => {
      params.add('g', [undefined as unknown as number, 3], gaussian(1))
      return []
    })
    const error = await thrownBy(() => on(shapeless, () => {}))
    expect(error.message, 'g: given the shape [undefined,3]; expected whole numbers above 0', 'the sentence')
  }),
  executorCase('a fault: one name twice', async () => {
    const error = await thrownBy(() => on(all(lora(), lora()), () => {}))
    expect(error.code, 'duplicate-parameter', error.message)
    expect(/q_proj\.lora_A\.weight/.test(error.message), true, error.message)
  }),
  executorCase('a fault: backward inside backward', () =>
    on(lora(), async (tuned) => {
      const inner = () =>
        backward(
          () => meanLoss(tuned, batch),
          () => {},
        )
      const error = await thrownBy(() => backward(inner, () => {}))
      expect(error.code, 'nested-backward', error.message)
    }),
  ),
  executorCase('a fault: a loss that is no scalar', () =>
    on(lora(), async (tuned) => {
      const error = await thrownBy(() =>
        backward(
          () => forward(tuned, batch).hidden,
          () => {},
        ),
      )
      expect(error.code, 'bad-loss', error.message)
      expect(/\[2,7,12\]/.test(error.message), true, error.message)
    }),
  ),
  executorCase('a fault: an adapter that is not there', () =>
    on(lora(), async (tuned) => {
      const error = await thrownBy(() => detached(() => forward(tuned, batch, { adapter: 'defalt' })))
      expect(error.code, 'unknown-adapter', error.message)
      expect(/default/.test(error.message), true, error.message)
      const rows = await thrownBy(() => forward(tuned, batch, { adapter: ['default'] }))
      expect(/one a row: 2/.test(rows.message), true, rows.message)
    }),
  ),
]

/** Every fault that the executor knows has a sentence of its own, and leaves no tensor behind. */
export const faultCases: readonly ExecutorCase[] = [...faults.map(faultCase), ...callFaults]
