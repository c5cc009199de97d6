import {
  add,
  clone,
  dispose,
  gather,
  keep,
  linear,
  random,
  reshape,
  sub,
  sum,
  type Tensor,
  tanh,
  tensor,
  type Weight,
} from '@graftjs/tensor'
import type { Model, Site, Stage } from './types.ts'

/** embed → L × (h + tanh(proj h)) → head: the smallest model with every part that the executor handles. */
export const toyModel = (layers = 3, d = 4, vocab = 7): Model => {
  const draw = (path: string, shape: number[]): Weight & { data: Tensor } => {
    const data = keep(tensor(random(1, path).fill(new Float32Array(shape.reduce((a, b) => a * b)), 'normal'), shape))
    return { path, shape, bytes: data.size * 4, data, matmul: (x) => linear(x, data), dense: () => clone(data) }
  }
  const table = draw('embed.weight', [vocab, d])
  const proj = Array.from({ length: layers }, (_, i): Site<'linear'> => {
    const weight = draw(`layers.${i}.proj.weight`, [d, d])
    return {
      kind: 'linear',
      path: `layers.${i}.proj`,
      layer: i,
      role: 'proj',
      inDim: d,
      outDim: d,
      weight,
      apply: (x, w) => linear(x, w.weight),
    }
  })
  const place = (kind: 'layer' | 'backbone' | 'head', path: string, layer: number) => ({
    kind,
    path,
    layer,
    role: path,
    inDim: d,
    outDim: d,
  })
  const backbone = place('backbone', 'model', -1) as Site<'backbone'>
  const headSite = place('head', 'head', -1) as Site<'head'>
  const layerSites = proj.map((_, i) => place('layer', `layers.${i}`, i) as Site<'layer'>)
  return {
    type: 'toy',
    causal: true,
    withWeights: () => {
      throw new Error('the toy model is not rebuilt')
    },
    targetModules: ['proj'],
    sites: [...proj, ...layerSites, backbone, headSite],
    backbone,
    begin: ({ ids }) => {
      const rows = tensor(Int32Array.from(ids.flat()), [ids.length, ids[0]!.length], 'int32')
      return { ids: rows, positions: rows, segments: rows, span: ids[0]!.length }
    },
    embed: {
      site: place('layer', 'embed', -1) as Site<'layer'>,
      uses: [],
      apply: (s) => ({ ...s, hidden: gather(table.data, s.frame.ids) }),
    },
    stages: proj.map(
      (site, i): Stage => ({
        site: layerSites[i]!,
        uses: ['hidden'],
        apply: (s, run) => ({
          ...s,
          hidden: add(s.hidden, tanh(run.at(site, s.hidden, (x) => site.weight.matmul(x)))),
        }),
      }),
    ),
    head: {
      site: headSite,
      apply: ({ hidden }) => ({
        hidden,
        logits: () => linear(hidden, table.data),
        nll: (labels) =>
          sub(
            sum(hidden, 2),
            reshape(tensor(labels.flat() as number[], [labels.length, labels[0]!.length]), [labels.length, -1]),
          ),
      }),
    },
    dispose: () => dispose([table.data, ...proj.map((s) => (s.weight as Weight & { data: Tensor }).data)]),
  }
}
