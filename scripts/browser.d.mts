export declare const required: () => boolean
export declare const findBrowser: () => string | undefined
export declare const NO_BROWSER: string
export declare const softwareVulkan: (browser: string) => Record<string, string> | undefined
export declare const ensureBrowser: (fail: (message: string) => never) => void
