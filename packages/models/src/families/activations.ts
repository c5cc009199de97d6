import { gelu } from '@graftjs/kernels'
import { relu, silu, type Tensor } from '@graftjs/tensor'

/** By transformers' names. */
export const activations = {
  gelu_new: (x: Tensor) => gelu(x, 'tanh'),
  gelu_pytorch_tanh: (x: Tensor) => gelu(x, 'tanh'),
  gelu: (x: Tensor) => gelu(x, 'erf'),
  relu,
  silu,
}
export type Activation = keyof typeof activations
export const activationNames = Object.keys(activations) as Activation[]
