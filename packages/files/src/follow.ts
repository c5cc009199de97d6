import { GraftError } from '@graftjs/tensor/error'

export interface Ask {
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  /** Sent to the host of `url` alone. */
  readonly token?: string | undefined
  /** Milliseconds to wait for the answer. */
  readonly patienceMs: number
  /** Ends the body, too. */
  readonly signal: AbortSignal
}

export interface Answer {
  readonly response: Response
  /** What the hub names for a large file before it sends us to where the file lies. */
  readonly linkedEtag: string | null
}

const REDIRECTS = 5

/** GET with redirects followed by hand: the token stays with the first host, and https never becomes http. */
export const follow = async (ask: Ask): Promise<Answer> => {
  const { url, patienceMs, signal } = ask
  const late = new AbortController()
  const timer = setTimeout(() => late.abort(), patienceMs)
  try {
    return await walk(ask, AbortSignal.any([signal, late.signal]))
  } catch (cause) {
    if (cause instanceof GraftError) throw cause
    const why = late.signal.aborted ? `no answer within ${patienceMs / 1000} s` : reason(cause as Error)
    throw new GraftError({ code: 'no-answer', culprit: url, message: `${url}: ${why}`, cause })
  } finally {
    clearTimeout(timer)
  }
}

const walk = async ({ url, headers, token }: Ask, signal: AbortSignal): Promise<Answer> => {
  const first = new URL(url)
  let [target, linkedEtag]: [URL, string | null] = [first, null]
  for (let hop = 0; hop <= REDIRECTS; hop++) {
    const authorization = token && target.host === first.host ? { authorization: `Bearer ${token}` } : {}
    const response = await fetch(target, { headers: { ...headers, ...authorization }, redirect: 'manual', signal })
    linkedEtag ??= response.headers.get('x-linked-etag')
    const next = response.status >= 300 && response.status < 400 ? response.headers.get('location') : null
    if (next === null) return { response, linkedEtag }
    await response.body?.cancel()
    target = redirected(url, target, next)
  }
  throw new GraftError({
    code: 'no-answer',
    culprit: url,
    given: `more than ${REDIRECTS} redirects`,
    expected: 'fewer',
  })
}

const redirected = (url: string, from: URL, location: string): URL => {
  const to = new URL(location, from)
  if (to.protocol === from.protocol || to.protocol === 'https:') return to
  throw new GraftError({
    code: 'no-answer',
    culprit: url,
    given: `a redirect from ${from.protocol} to ${to.protocol}`,
    expected: 'one that stays with https',
  })
}

/** fetch says "fetch failed" and keeps why in its cause. */
export const reason = (error: Error): string =>
  error.cause instanceof Error ? error.cause.message || error.message : error.message
