export type Env = Readonly<Record<string, string | undefined>>

/** The variables of the process; a browser has none. */
export const hubEnv = (): Env => globalThis.process?.env ?? {}

/** Whether a variable says yes, as huggingface_hub reads it. */
export const isOn = (value: string | undefined): boolean => /^(1|on|yes|true)$/i.test(value ?? '')
