import { defineConfig } from 'vitepress'

export default defineConfig({
  title: 'Graft',
  description: 'Parameter-efficient fine-tuning for TypeScript',
  cleanUrls: true,
  srcExclude: ['drawings/**'],
  head: [['link', { rel: 'icon', type: 'image/svg+xml', href: '/mark.svg' }]],
  themeConfig: {
    logo: '/mark.svg',
    search: { provider: 'local' },
    outline: { level: [2, 3] },
    nav: [
      { text: 'Getting started', link: '/getting-started' },
      { text: 'How it works', link: '/ideas' },
      { text: 'Reference', link: '/reference/core' },
    ],
    sidebar: [
      {
        text: 'Use it',
        items: [
          { text: 'What Graft is', link: '/' },
          { text: 'Getting started', link: '/getting-started' },
          { text: 'The command line', link: '/cli' },
          { text: 'Training', link: '/training' },
          { text: 'Rows, masks, templates', link: '/data' },
          { text: 'Packing, buckets, mixtures', link: '/packing' },
          { text: 'LoRA', link: '/methods/lora' },
          { text: 'Model families', link: '/models' },
          { text: 'Tasks and heads', link: '/tasks' },
          { text: 'Models of the hub', link: '/hub' },
          { text: 'Logs and the report', link: '/report' },
          { text: 'GGUF, shards, Ollama', link: '/files' },
          { text: 'Generation', link: '/generation' },
          { text: 'Measured figures', link: '/figures' },
        ],
      },
      {
        text: 'How it works',
        items: [
          { text: 'The five ideas', link: '/ideas' },
          {
            text: 'Decisions',
            link: '/decisions/',
            items: [
              { text: '1. Sites and patches', link: '/decisions/sites-and-patches' },
              { text: '2. Stages over a stream', link: '/decisions/stages' },
              { text: '3. A weight is an interface', link: '/decisions/weights' },
              { text: '4. One table of kernels', link: '/decisions/kernels' },
              { text: '5. Our own CPU backend', link: '/decisions/simd' },
            ],
          },
        ],
      },
      {
        text: 'Extend it',
        items: [
          { text: 'Write your own method', link: '/methods/write-your-own' },
          { text: 'The stand-in methods', link: '/methods/stand-ins' },
          { text: '@graftjs/core', link: '/reference/core' },
          { text: '@graftjs/tensor', link: '/reference/tensor' },
          { text: '@graftjs/testing', link: '/reference/testing' },
        ],
      },
    ],
    docFooter: { prev: 'Previous', next: 'Next' },
    footer: { message: 'Apache-2.0' },
  },
})
