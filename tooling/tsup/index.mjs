/** The one build shape of every package: ESM, types beside it, nothing of ours or of tfjs bundled in. */
export const library = (entry = ['src/index.ts'], more = {}) => ({
  entry,
  format: ['esm'],
  target: 'es2022',
  platform: 'neutral',
  clean: true,
  dts: true,
  sourcemap: true,
  external: [/^@graftjs\//, /^@tensorflow\//, /^@huggingface\//, /^node:/],
  ...more,
})
