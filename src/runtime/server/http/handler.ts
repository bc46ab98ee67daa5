import type { Context } from 'hono';
import { AdaptletError, asAdaptletError } from '../../../errors/adaptlet-error.ts';
import type { Asking } from '../context.ts';
import { Exchange, type Parts } from '../exchange.ts';
import { callersIdHeader } from './answer-headers.ts';
import { bodyOf } from './body.ts';
import { callerOf, headerOf, headersOf } from './connection.ts';
import { bodyShape, readJsonText } from './json.ts';
import { problemResponse } from './problem.ts';

/**
 * The body of a request.
 * @throws as of {@link bodyShape}, {@link readJsonText} and {@link bodyOf}
 */
export const readJson = async (c: Context): Promise<unknown> => {
  // Anything else could be sent by a web page without asking first (a CORS simple request).
  if (!/^application\/json\b/i.test(headerOf(c, 'content-type') ?? ''))
    throw new AdaptletError('REQUEST_INVALID', 'content-type must be application/json');
  return readJsonText(await bodyOf(c, bodyShape()));
};

/** Answers a known caller within an exchange. A client that disconnects ends it; what is thrown fails it. */
export const handler =
  (
    parts: Parts,
    method: string,
    answer: (c: Context, exchange: Exchange, asking: Asking) => Promise<Response>,
    problem = problemResponse,
  ) =>
  async (c: Context): Promise<Response> => {
    const headers = headersOf(c);
    const exchange = new Exchange(parts, { protocol: 'http', method, headers });
    const { signal } = c.req.raw;
    const onGone = (): void => exchange.cancel();
    if (signal.aborted) onGone();
    signal.addEventListener('abort', onGone, { once: true });
    exchange.signal.addEventListener('abort', () => signal.removeEventListener('abort', onGone), {
      once: true,
    });
    try {
      c.set('over', exchange.signal);
      // Before the body is read: strangers cost no more than their headers.
      const caller = await callerOf(parts, c, headers);
      return await answer(c, exchange, { headers, caller });
    } catch (error) {
      const response = problem(exchange.fail(error));
      for (const [name, value] of callersIdHeader(exchange)) response.headers.set(name, value);
      return response;
    }
  };

/** What is thrown outside of an exchange, as an answer of an API. */
export const failed =
  ({ log }: Pick<Parts, 'log'>, problem = problemResponse) =>
  (error: Error, c: Context): Response => {
    const failure = c.req.raw.signal.aborted
      ? new AdaptletError('REQUEST_CANCELLED', `the caller of ${c.req.path} went away`, { cause: error })
      : asAdaptletError(error, 'http');
    if (failure.code === 'INTERNAL') log.error({ err: failure }, 'http request failed');
    return problem(failure);
  };

/** Who asks, outside of an exchange. @throws UNAUTHENTICATED; REQUEST_INVALID for headers over their limits */
export const askingOf = async (parts: Parts, c: Context): Promise<Asking> => {
  const headers = headersOf(c);
  return { headers, caller: await callerOf(parts, c, headers) };
};
