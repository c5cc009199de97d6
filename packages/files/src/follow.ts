import { GraftError } from '@graftjs/tensor/error'

export interface Ask {
  readonly url: string
  readonly method?: 'GET' | 'HEAD'
  readonly headers: Readonly<Record<string, string>>
  /** Sent to the origin of `url` alone. */
  readonly token?: string | undefined
  /** Milliseconds to wait for the answer. */
  readonly patienceMs: number
  /** Ends the body, too. */
  readonly signal?: AbortSignal | undefined
  readonly fetch?: typeof fetch | undefined
  /** True for an answer that is not followed, though it names another place. */
  readonly enough?: (answer: Answer) => boolean
}

export interface Answer {
  readonly response: Response
  /** A header of the first answer on the way that has it: the hub names some before it sends us to where a file lies. */
  readonly named: (header: string) => string | null
}

const REDIRECTS = 5

/** Asks with redirects followed by hand: the token stays with the first origin, and https never becomes http. */
export const follow = async (ask: Ask): Promise<Answer> => {
  const { url, patienceMs, signal } = ask
  if (!URL.canParse(url))
    throw new GraftError({ code: 'bad-option', culprit: url, given: 'no address', expected: 'an http address' })
  const late = new AbortController()
  const timer = setTimeout(() => late.abort(), patienceMs)
  try {
    return await walk(ask, signal ? AbortSignal.any([signal, late.signal]) : late.signal)
  } catch (cause) {
    if (cause instanceof GraftError) throw cause
    if (signal?.aborted) throw new GraftError({ code: 'aborted', culprit: url, message: `${url}: aborted`, cause })
    const [code, why] = late.signal.aborted
      ? ['no-answer', `no answer within ${patienceMs / 1000} s`]
      : ['no-connection', reason(cause as Error)]
    throw new GraftError({ code, culprit: url, message: `${url}: ${why}`, cause })
  } finally {
    clearTimeout(timer)
  }
}

const walk = async (ask: Ask, signal: AbortSignal): Promise<Answer> => {
  const { url, method = 'GET', fetch: send = fetch, enough } = ask
  const seen: Headers[] = []
  const named = (header: string): string | null => seen.find((headers) => headers.has(header))?.get(header) ?? null
  let target = new URL(url)
  let token = ask.token
  for (let hop = 0; hop <= REDIRECTS; hop++) {
    const headers = token ? { ...ask.headers, authorization: `Bearer ${token}` } : ask.headers
    const response = await send(target, { method, headers, redirect: 'manual', signal })
    seen.push(response.headers)
    const next = response.status >= 300 && response.status < 400 ? response.headers.get('location') : null
    if (next === null || enough?.({ response, named })) return { response, named }
    await response.body?.cancel()
    const from = target
    target = redirected(url, from, next)
    // Gone once, it is gone for the rest of the way, even if that leads back.
    if (target.origin !== from.origin) token = undefined
  }
  throw badRedirect(url, `more than ${REDIRECTS} redirects`, 'fewer')
}

const redirected = (url: string, from: URL, location: string): URL => {
  if (!URL.canParse(location, from.href)) throw badRedirect(url, 'a redirect to no address', 'one to an http address')
  const to = new URL(location, from)
  if (to.protocol === from.protocol || to.protocol === 'https:') return to
  throw badRedirect(url, `a redirect from ${from.protocol} to ${to.protocol}`, 'one that stays with https')
}

const badRedirect = (culprit: string, given: string, expected: string): GraftError =>
  new GraftError({ code: 'bad-redirect', culprit, given, expected })

/** fetch says "fetch failed" and keeps why in its cause. */
export const reason = (error: Error): string =>
  error.cause instanceof Error ? error.cause.message || error.message : error.message
