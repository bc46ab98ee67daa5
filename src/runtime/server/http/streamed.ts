import type { Exchange, Parts } from '../exchange.ts';
import { type SseLine, sse } from './sse.ts';

/** An answer that is sent as it is made. A reader that leaves, or takes nothing for too long, ends the exchange. */
export const streamed = (
  lines: AsyncIterator<SseLine>,
  exchange: Exchange,
  { clock, slowClientMs }: Pick<Parts, 'clock' | 'slowClientMs'>,
  served: readonly [string, string][],
): Response => {
  const headers = new Headers([...served]);
  headers.set('content-type', 'text/event-stream; charset=utf-8');
  headers.set('cache-control', 'no-cache');
  // Proxies that buffer would hold the tokens back.
  headers.set('x-accel-buffering', 'no');
  const stream = sse(lines, {
    clock,
    slowClientMs,
    onSlow: () => exchange.tooSlow(),
    onGone: () => exchange.cancel(),
  });
  return new Response(stream, { headers });
};
