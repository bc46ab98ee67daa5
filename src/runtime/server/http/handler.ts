import type { Context } from 'hono';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { Caller } from '../../callers/caller.ts';
import { type Headers as RequestHeaders, readHeaders } from '../context.ts';
import { Exchange, type Parts } from '../exchange.ts';
import { callerOf } from './connection.ts';
import { problemResponse } from './problem.ts';

/**
 * The body of a request.
 * @throws REQUEST_INVALID
 */
export const readJson = async (c: Context): Promise<unknown> => {
  // Anything else could be sent by a web page without asking first (a CORS simple request).
  if (!/^application\/json\b/i.test(c.req.header('content-type') ?? ''))
    throw new AdaptletError('REQUEST_INVALID', 'content-type must be application/json');
  try {
    return await c.req.json();
  } catch (error) {
    throw new AdaptletError('REQUEST_INVALID', 'the body is not JSON', { cause: error });
  }
};

export type Asking = { readonly headers: RequestHeaders; readonly caller: Caller };

/** Answers a known caller within an exchange. A client that disconnects ends it; what is thrown fails it. */
export const handler =
  (
    parts: Parts,
    method: string,
    answer: (c: Context, exchange: Exchange, asking: Asking) => Promise<Response>,
  ) =>
  async (c: Context): Promise<Response> => {
    const headers = readHeaders(c.req.raw.headers.entries());
    const exchange = new Exchange(parts, { protocol: 'http', method, headers });
    const { signal } = c.req.raw;
    const onGone = (): void => exchange.cancel();
    if (signal.aborted) onGone();
    signal.addEventListener('abort', onGone, { once: true });
    exchange.signal.addEventListener('abort', () => signal.removeEventListener('abort', onGone), {
      once: true,
    });
    try {
      // Before the body is read: strangers cost no more than their headers.
      const caller = await callerOf(parts, c, headers);
      return await answer(c, exchange, { headers, caller });
    } catch (error) {
      return problemResponse(exchange.fail(error));
    }
  };
