import type { Json, JsonObject, Method } from '@graftjs/core'

/** `loraAlpha` as `lora_alpha`: these files are Graft's own, since nobody has published a format; the names are PEFT's style. */
const snake = (name: string): string => name.replace(/[A-Z]/g, (c) => `_${c.toLowerCase()}`)
const camel = (name: string): string => name.replace(/_(.)/g, (_, c: string) => c.toUpperCase())

/** adapter_config.json with the method's options. */
export const writeConfig =
  (peftType: string) =>
  ({ config }: Method): JsonObject => ({
    peft_type: peftType,
    ...Object.fromEntries(Object.entries(config).map(([name, value]) => [snake(name), value as Json])),
  })

/** The method of an adapter_config.json. What it does not know is another's (the base model's name, the task); what it knows it checks. */
export const readConfig =
  <O extends object>(make: (options: O) => Method) =>
  (json: JsonObject): Method => {
    const known = [
      'experts',
      'r',
      'loraAlpha',
      'targetModules',
      'excludeModules',
      'feedforwardModules',
      'topK',
      'renormalize',
      'routerInitStd',
    ]
    const options = Object.entries(json)
      .map(([name, value]): [string, Json] => [camel(name), value])
      .filter(([name]) => known.includes(name))
    return make(Object.fromEntries(options) as O)
  }
