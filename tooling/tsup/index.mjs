/** The one build shape of every package: ESM, types beside it, nothing of ours or of tfjs bundled in; `#…` is left to package.json's `imports`. */
export const library = (entry = ['src/index.ts'], more = {}) => ({
  entry,
  format: ['esm'],
  target: 'es2022',
  platform: 'neutral',
  clean: true,
  dts: true,
  sourcemap: true,
  // Deno and Bun know Node's modules by their `node:` names only.
  removeNodeProtocol: false,
  external: [/^#/, /^@graftjs\//, /^@tensorflow\//, /^@huggingface\//, /^node:/],
  ...more,
})
