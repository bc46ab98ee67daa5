import type { ServedBy } from '../../routing/request.ts';
import type { Exchange } from '../exchange.ts';
import { servedHeaders, wire } from '../wire.ts';

/** Of a response over HTTP: what its caller can find it by. */
export const callersIdHeader = ({ callersId }: Pick<Exchange, 'callersId'>): readonly [string, string][] =>
  callersId === undefined ? [] : [[wire.callersId, callersId]];

/** Of an answer over HTTP: what produced it, and its ids. */
export const answerHeaders = (
  exchange: Pick<Exchange, 'callersId'>,
  id: string,
  served: ServedBy,
): readonly [string, string][] => [...servedHeaders(id, served), ...callersIdHeader(exchange)];
