import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { describe, expect, test } from 'vitest'
import { faultOf, filesIn, inFolder } from './files.test-util.ts'
import { type AdapterFolder, fromFloat32, type JsonObject, readAdapter, toFloat32, writeAdapter } from './index.ts'

const config: JsonObject = {
  r: 8,
  lora_alpha: 16,
  lora_dropout: 0.05,
  target_modules: ['q_proj', 'v_proj'],
  peft_type: 'LORA',
  base_model_name_or_path: 'Zoë/модель 😀\u007f',
  bias: 'none',
  rank_pattern: {},
  modules_to_save: null,
  exclude_modules: [],
  inference_mode: true,
  alpha_pattern: { '10': 2, '9': 1, ﬃ: 0.00001, '😀': true },
}
const path = 'model.layers.0.self_attn.q_proj.lora_A.weight'
const adapter: AdapterFolder = {
  config,
  tensors: new Map([[path, fromFloat32(path, [1, 2], Float32Array.of(0.5, -3))]]),
}

// json.dumps(config, indent=2, sort_keys=True) of Python 3.
const asPython = `{
  "alpha_pattern": {
    "10": 2,
    "9": 1,
    "\\ufb03": 1e-05,
    "\\ud83d\\ude00": true
  },
  "base_model_name_or_path": "Zo\\u00eb/\\u043c\\u043e\\u0434\\u0435\\u043b\\u044c \\ud83d\\ude00\\u007f",
  "bias": "none",
  "exclude_modules": [],
  "inference_mode": true,
  "lora_alpha": 16,
  "lora_dropout": 0.05,
  "modules_to_save": null,
  "peft_type": "LORA",
  "r": 8,
  "rank_pattern": {},
  "target_modules": [
    "q_proj",
    "v_proj"
  ]
}`

describe('round trip', () => {
  test('both files come back, under the names of PEFT', () =>
    inFolder(async (dir) => {
      await writeAdapter(dir, adapter)
      expect(await filesIn(dir)).toEqual(['adapter_config.json', 'adapter_model.safetensors'])
      const read = await readAdapter(dir)
      expect(read.config).toEqual(config)
      expect([...read.tensors.keys()]).toEqual([path])
      expect([...toFloat32(read.tensors.get(path)!)]).toEqual([0.5, -3])
      expect(await readFile(`${dir}/adapter_model.safetensors`, 'latin1')).toContain(`"base_model.model.${path}"`)
    }))

  test('the config is sorted as Python sorts it', () =>
    inFolder(async (dir) => {
      await writeAdapter(dir, adapter)
      expect(await readFile(`${dir}/adapter_config.json`, 'utf8')).toBe(asPython)
    }))

  test('a folder that is not there yet is made', () =>
    inFolder(async (dir) => {
      await writeAdapter(`${dir}/a/b`, adapter)
      expect((await readAdapter(`${dir}/a/b`)).config).toEqual(config)
    }))

  test('a config that nobody changed is written in its own words', () =>
    inFolder(async (dir) => {
      await writeAdapter(dir, adapter)
      const text = asPython.replace('0.05', '0.0').replace('"r": 8', '"r": 8.0')
      await writeFile(`${dir}/adapter_config.json`, text)
      await writeAdapter(dir, await readAdapter(dir))
      expect(await readFile(`${dir}/adapter_config.json`, 'utf8')).toBe(text)
    }))

  test('a config that was changed is not', () =>
    inFolder(async (dir) => {
      await writeAdapter(dir, adapter)
      const read = await readAdapter(dir)
      read.config.r = 9
      await writeAdapter(dir, read)
      expect((await readAdapter(dir)).config).toEqual({ ...config, r: 9 })
    }))

  test('inference_mode is set, as PEFT sets it', () =>
    inFolder(async (dir) => {
      const { inference_mode, ...rest } = config
      for (const given of [rest, { ...config, inference_mode: false }]) {
        await writeAdapter(dir, { ...adapter, config: given })
        expect((await readAdapter(dir)).config.inference_mode).toBe(true)
      }
      await writeFile(`${dir}/adapter_config.json`, '{"inference_mode": false}')
      await writeAdapter(dir, await readAdapter(dir))
      expect((await readAdapter(dir)).config).toEqual({ inference_mode: true })
    }))

  test('saving leaves the other files of the folder alone', () =>
    inFolder(async (dir) => {
      await writeFile(`${dir}/README.md`, 'mine')
      await writeAdapter(dir, adapter)
      await writeAdapter(dir, adapter)
      expect(await filesIn(dir)).toEqual(['README.md', 'adapter_config.json', 'adapter_model.safetensors'])
    }))
})

describe('what is refused, by name', () => {
  const broken = (breakIt: (dir: string) => Promise<unknown>, code: string, ...words: readonly string[]) =>
    inFolder(async (dir) => {
      await writeAdapter(dir, adapter)
      await breakIt(dir)
      const fault = await faultOf(() => readAdapter(dir))
      expect(fault.code).toBe(code)
      for (const word of words) expect(fault.message).toContain(word)
    })

  test('no folder', () =>
    inFolder(async (dir) => {
      expect((await faultOf(() => readAdapter(`${dir}/none`))).message).toContain('none/adapter_config.json')
    }))
  test('no config', () => broken((dir) => rm(`${dir}/adapter_config.json`), 'no-file', 'adapter_config.json'))
  test('no weights', () =>
    broken((dir) => rm(`${dir}/adapter_model.safetensors`), 'no-file', 'adapter_model.safetensors'))
  test('a pickle, with the way out', () =>
    broken(
      async (dir) => {
        await rm(`${dir}/adapter_model.safetensors`)
        await writeFile(`${dir}/adapter_model.bin`, 'cos\nsystem\n')
      },
      'no-file',
      'adapter_model.bin',
      'pickle',
      'save_pretrained',
    ))
  test('safetensors are read though a pickle lies beside them', () =>
    inFolder(async (dir) => {
      await writeAdapter(dir, adapter)
      await writeFile(`${dir}/adapter_model.bin`, '')
      expect((await readAdapter(dir)).tensors.size).toBe(1)
    }))
  test('a config that is no JSON', () =>
    broken((dir) => writeFile(`${dir}/adapter_config.json`, '{'), 'bad-file', 'adapter_config.json'))
  test('a config that is an array', () =>
    broken((dir) => writeFile(`${dir}/adapter_config.json`, '[]'), 'bad-file', 'adapter_config.json', 'object'))
  test('a config with a key twice', () =>
    broken((dir) => writeFile(`${dir}/adapter_config.json`, '{"r":1,"r":2}'), 'bad-file', '"r"'))
  test('a config that is a folder', () =>
    broken(
      async (dir) => {
        await rm(`${dir}/adapter_config.json`)
        await mkdir(`${dir}/adapter_config.json`)
      },
      'no-file',
      'adapter_config.json',
    ))
  test('weights that are cut short', () =>
    broken((dir) => writeFile(`${dir}/adapter_model.safetensors`, 'abc'), 'bad-file', 'adapter_model.safetensors'))
  test('keys without the prefix', () =>
    broken(
      async (dir) => {
        const file = `${dir}/adapter_model.safetensors`
        await writeFile(file, (await readFile(file, 'latin1')).replace('base_model', 'case_model'), 'latin1')
      },
      'bad-file',
      'case_model',
      'base_model.model.',
    ))
})
