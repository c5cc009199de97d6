import { gaussian, type Method, plus, type Run, sitesOf, zeros } from '@graftjs/core'
import { add, gather, linear, matMul, relu, reshape, type Tensor } from '@graftjs/tensor'
import { GraftError } from '@graftjs/tensor/error'

/**
 * HyperFormer (Mahabadi et al. 2021): one network writes the adapter of every (task, sublayer) from two embeddings. A row
 * gets the adapter of its own task, so a batch may mix tasks.
 */
export const hypernetwork = ({ tasks = 3, e = 4, bottleneck = 2 } = {}): Method => ({
  name: 'hypernetwork',
  config: { tasks, e, bottleneck },
  attach: (model, params) => {
    const d = model.backbone.inDim
    const taskEmbeddings = params.add('hyper.tasks.weight', [tasks, e], gaussian(1))
    const writeDown = params.add('hyper.down.weight', [d * bottleneck, e], gaussian(0.3))
    const writeUp = params.add('hyper.up.weight', [bottleneck * d, e], zeros)
    return sitesOf(model, 'sublayer').map((site) => {
      const place = params.add(`${site.path}.hyper.place`, [e], gaussian(1))
      return plus(site, (_x, y, run) => {
        const about = relu(add(gather(taskEmbeddings(), taskOf(run)), place())) // [B, e]
        const down = reshape(linear(about, writeDown()), [-1, d, bottleneck])
        const up = reshape(linear(about, writeUp()), [-1, bottleneck, d])
        return matMul(relu(matMul(y, down)), up)
      })
    })
  },
})

const taskOf = ({ frame }: Run): Tensor => {
  if (frame.task) return frame.task
  throw new GraftError({
    code: 'bad-batch',
    culprit: 'tasks',
    given: 'a batch without tasks',
    expected: 'one for each row: the hypernetwork writes an adapter for it',
  })
}
