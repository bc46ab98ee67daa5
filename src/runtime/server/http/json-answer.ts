import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response';
import type { Context } from 'hono';
import { bindingsOf } from './connection.ts';

/**
 * A whole answer, sent. A Response takes its text through a stream and back, and its headers through two forms: that costs more than
 * to write it. Without a connection, as in tests, it is a Response.
 */
export const jsonAnswer = (
  c: Context,
  value: unknown,
  headers: readonly (readonly [string, string])[],
): Response => {
  const { outgoing } = bindingsOf(c);
  const text = JSON.stringify(value);
  const all = { ...Object.fromEntries(headers), 'content-type': 'application/json' };
  if (outgoing === undefined) return new Response(text, { headers: all });
  outgoing.writeHead(200, { ...all, 'content-length': Buffer.byteLength(text) });
  outgoing.end(text);
  return RESPONSE_ALREADY_SENT;
};
