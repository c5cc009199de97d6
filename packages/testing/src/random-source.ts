import { storedWeight } from '@graftjs/kernels'
import { vectorWeight, type WeightSource } from '@graftjs/models'
import { random } from '@graftjs/tensor'

/** Random float32 weights, fixed by (seed, name): matrices of standard deviation 1/√in, norms around 1, biases around 0. */
export const randomSource = (seed = 0): WeightSource => ({
  matrix: (name, [rows, cols]) =>
    storedWeight(name, 'f32', around(0, Math.sqrt(3 / cols), rows * cols, seed, name), [rows, cols]),
  vector: (name, size) => vectorWeight(name, around(name.endsWith('.bias') ? 0 : 1, 0.3, size, seed, name)),
})

/** Uniform on middle ± reach, whose standard deviation is reach/√3. */
const around = (middle: number, reach: number, size: number, seed: number, name: string): Float32Array =>
  random(seed, name)
    .fill(new Float32Array(size), 'uniform')
    .map((u) => middle + (2 * u - 1) * reach)
