/** Where a log's text goes. Node's is a file; a page may keep it in storage of its own. */
export interface LogSink {
  /** All that is there; empty where there is nothing yet. */
  readonly read: () => Promise<string>
  /** Puts `text` in the place of all that was there, or fails and changes nothing. */
  readonly replace: (text: string) => Promise<void>
  readonly append: (text: string) => Promise<void>
}
