import type { MiddlewareHandler } from 'hono';
import type { ServedBy } from '../../routing/request.ts';
import type { Exchange } from '../exchange.ts';
import { callersIdOf, servedHeaders, wire } from '../wire.ts';
import { bindingsOf } from './connection.ts';

/** Of a response over HTTP: what its caller can find it by. */
export const callersIdHeader = ({ callersId }: Pick<Exchange, 'callersId'>): readonly [string, string][] =>
  callersId === undefined ? [] : [[wire.callersId, callersId]];

/** Of an answer over HTTP: what produced it, and its ids. */
export const answerHeaders = (
  exchange: Pick<Exchange, 'callersId'>,
  id: string,
  served: ServedBy,
): readonly [string, string][] => [...servedHeaders(id, served), ...callersIdHeader(exchange)];

/** Sends back the id that a request brought where no exchange does: with lists of models, and with all that fails outside of one. */
export const returnCallersId: MiddlewareHandler = async (c, next) => {
  await next();
  const { incoming } = bindingsOf(c);
  const id = callersIdOf(
    incoming === undefined ? c.req.header(wire.callersId) : incoming.headers[wire.callersId],
  );
  if (id !== undefined && !c.res.headers.has(wire.callersId)) c.header(wire.callersId, id);
};
