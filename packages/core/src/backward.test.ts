import '@tensorflow/tfjs-backend-cpu'
import { clone, detached, dispose, keep, linear, memory, mul, scope, square, sum, type Tensor } from '@graftjs/tensor'
import { registerGradients } from '@graftjs/tensor/register'
import * as tf from '@tensorflow/tfjs-core'
import { beforeAll, describe, expect, it } from 'vitest'
import { all } from './all.ts'
import { forward } from './forward.ts'
import { gaussian } from './init.ts'
import { around, plus } from './patch.ts'
import { linears, sitesOf } from './select.ts'
import { toyModel } from './toy-model.test-util.ts'
import { attach, type Tuned } from './tuned.ts'
import type { Call, Method } from './types.ts'
import { backward } from './walk.ts'

beforeAll(async () => {
  tf.env().set('IS_TEST', true)
  await registerGradients()
  await tf.setBackend('cpu')
})

const batch = {
  ids: [
    [1, 2, 3],
    [4, 5, 6],
  ],
}
const loss = (tuned: Tuned, call: Call): Tensor => sum(square(forward(tuned, batch, call).logits()))

const lowRank = (targets: string[] | null = null, rate = 0, name = ''): Method => ({
  name: 'test-lora',
  config: {},
  attach: (model, params) =>
    linears(model, targets).map((site) => {
      const a = params.add(`${name}${site.path}.a`, [2, site.inDim], gaussian(0.5))
      const b = params.add(`${name}${site.path}.b`, [site.outDim, 2], gaussian(0.5))
      return plus(site, (x, _y, run) => linear(linear(run.dropout(x, rate), a()), b()))
    }),
})

/** One matrix for every layer: its gradient is a sum over stages. */
const shared: Method = {
  name: 'shared',
  config: {},
  attach: (model, params) => {
    const w = params.add('shared.w', [4, 4], gaussian(0.3))
    return linears(model, null).map((site) => plus(site, (x) => linear(x, w())))
  },
}

/** Acts outside the stages, on the tape itself. */
const shift: Method = {
  name: 'shift',
  config: {},
  attach: (model, params) => {
    const g = params.add('shift.g', [4], gaussian(0.3))
    return [around(model.backbone, (s, next) => next({ ...s, hidden: mul(s.hidden, g()) }))]
  },
}

const aroundLayer: Method = {
  name: 'layer-scale',
  config: {},
  attach: (model, params) =>
    sitesOf(model, 'layer').map((site) => {
      const g = params.add(`${site.path}.scale`, [4], gaussian(0.5))
      return around(site, (s, next) => ({ ...s, hidden: mul(next(s).hidden, g()) }))
    }),
}

const gradients = (tuned: Tuned, call: Call): Map<string, number[]> => {
  const found = new Map<string, number[]>()
  dispose(
    backward(
      () => loss(tuned, call),
      (p, g) => {
        expect(found.has(p.path)).toBe(false)
        found.set(p.path, [...g.dataSync()])
      },
    ),
  )
  return found
}

const stock = (tuned: Tuned, call: Call): Map<string, number[]> =>
  scope(() => {
    const params = [...tuned.params.all.values()]
    const { grads } = tf.engine().gradients(
      () => loss(tuned, call) as tf.Tensor,
      params.map((p) => p.value),
    )
    return new Map(params.map((p, i) => [p.path, [...grads[i]!.dataSync()]]))
  })

const cases: [string, Method, Call][] = [
  ['low rank at each layer', lowRank(), {}],
  ['low rank with dropout', lowRank(null, 0.3), { training: true, seed: 5 }],
  ['low rank at the top layer', lowRank(['layers.2.proj']), {}],
  ['one matrix shared by all layers', shared, {}],
  ['a patch outside the stages', shift, {}],
  ['a patch around layers', aroundLayer, {}],
  [
    'all at once',
    all(lowRank(), shared, shift, aroundLayer, lowRank(null, 0.2, 'second.')),
    { training: true, seed: 9 },
  ],
]

describe('backward', () => {
  it.each(cases)('%s: equals stock gradients over one whole tape, and finite differences', (_, method, call) => {
    const model = toyModel()
    const tuned = attach(model, method, { seed: 3 })
    const ours = gradients(tuned, call)
    const theirs = stock(tuned, call)
    expect([...ours.keys()].sort()).toEqual([...theirs.keys()].sort())
    for (const [path, grad] of theirs) {
      const scale = Math.max(1e-3, ...grad.map(Math.abs))
      ours.get(path)!.forEach((g, i) => expect(Math.abs(g - grad[i]!) / scale).toBeLessThan(1e-5))
    }
    const param = [...tuned.params.all.values()][0]!
    const at = (h: number): number => {
      const before = clone(param.value)
      const values = before.dataSync().slice()
      values[1]! += h
      param.set(tf.tensor(values, [...param.shape]))
      const value = scope(() => loss(tuned, call).dataSync()[0]!)
      param.set(keep(before))
      return value
    }
    const numeric = (at(1e-2) - at(-1e-2)) / 2e-2
    const exact = ours.get(param.path)![1]!
    expect(Math.abs(numeric - exact) / Math.max(1, Math.abs(exact))).toBeLessThan(2e-2)
    tuned.dispose()
    model.dispose()
  })

  it.each(cases)('%s: keep all, none and a budget agree bit for bit', (_, method, call) => {
    const model = toyModel()
    const tuned = attach(model, method, { seed: 3 })
    const none = gradients(tuned, { ...call, keep: 'none' })
    expect(gradients(tuned, { ...call, keep: 'all' })).toEqual(none)
    expect(gradients(tuned, { ...call, keep: 600 })).toEqual(none)
    tuned.dispose()
    model.dispose()
  })

  it.each(['none', 'all'] as const)('leaves no tensor behind, whatever throws (keep %s)', (keepMode) => {
    const model = toyModel()
    const tuned = attach(model, all(lowRank(), shared, shift), { seed: 3 })
    const call: Call = { keep: keepMode }
    gradients(tuned, call)
    const before = memory()
    gradients(tuned, call)
    expect(memory()).toEqual(before)
    expect(() =>
      dispose(
        backward(
          () => loss(tuned, call),
          () => {
            throw new Error('in onGrad')
          },
        ),
      ),
    ).toThrow('in onGrad')
    expect(memory()).toEqual(before)
    expect(() =>
      backward(
        () => {
          dispose(loss(tuned, call))
          throw new Error('in the loss')
        },
        () => {},
      ),
    ).toThrow('in the loss')
    expect(memory()).toEqual(before)
    dispose(scope(() => forward(tuned, batch).logits()))
    expect(memory()).toEqual(before)
    tuned.dispose()
    model.dispose()
  })

  it('hands a gradient over before stages below are revisited, so updates during the walk equal updates after', () => {
    const run = (during: boolean): number[][] => {
      const model = toyModel()
      const tuned = attach(model, all(lowRank(), shared), { seed: 3 })
      for (let step = 0; step < 3; step++) {
        const later: (() => void)[] = []
        const update = (path: string, grad: Tensor): void => {
          const param = tuned.params.all.get(path)!
          const next = scope(() => tf.sub(param.value, tf.mul(grad, 1e-3)))
          param.set(keep(next))
          dispose(grad)
        }
        dispose(
          backward(
            () => loss(tuned, {}),
            (p, g) => {
              const grad = keep(clone(g))
              if (during) update(p.path, grad)
              else later.push(() => update(p.path, grad))
            },
          ),
        )
        for (const f of later) f()
      }
      const values = [...tuned.params.all.values()].map((p) => [...p.value.dataSync()])
      tuned.dispose()
      model.dispose()
      return values
    }
    expect(run(true)).toEqual(run(false))
  })

  it('takes no gradient through detached', () => {
    const model = toyModel()
    const tuned = attach(model, lowRank(), { seed: 3 })
    const seen: string[] = []
    dispose(
      backward(
        () =>
          tf.add(
            loss(tuned, {}),
            detached(() => loss(tuned, {})),
          ),
        (p) => seen.push(p.path),
      ),
    )
    expect(seen).toHaveLength(6)
    tuned.dispose()
    model.dispose()
  })

  it('names the stage in an error, and refuses a loss that is no scalar and a backward inside another', () => {
    const model = toyModel()
    const broken: Method = {
      name: 'broken',
      config: {},
      attach: (m) =>
        linears(m, ['layers.1.proj']).map((site) =>
          around(site, () => {
            throw new Error('boom')
          }),
        ),
    }
    expect(() => forward(attach(model, broken), batch)).toThrow('layers.1.proj: broken: boom')
    const tuned = attach(model, lowRank())
    expect(() =>
      backward(
        () => forward(tuned, batch).hidden,
        () => {},
      ),
    ).toThrow(/given a loss of shape \[2,3,4\]/)
    expect(() =>
      backward(
        () =>
          backward(
            () => loss(tuned, {}),
            () => {},
          ),
        () => {},
      ),
    ).toThrow('inside another backward')
    tuned.dispose()
    model.dispose()
  })
})
