import type { Options } from 'tsup'

export declare const library: (entry?: string[], more?: Options) => Options
