import { useSimd } from '@graftjs/kernels'
import { tinyDecoder, tinyEncoderDecoder } from '@graftjs/testing'
import * as t from '@graftjs/tensor'
import { it } from 'vitest'
it('look', async () => {
  await useSimd({ threads: 1 })
  for (const m of [tinyDecoder(), tinyEncoderDecoder()]) {
    console.log(m.sites.filter((s) => ['sublayer', 'attention', 'layer'].includes(s.kind)).map((s) => `${s.kind} ${s.path} role=${s.role} layer=${s.layer}`).join('\n'))
    m.dispose()
  }
  console.log(Object.keys(t).join(' '))
})
