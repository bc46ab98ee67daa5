import { TLSSocket } from 'node:tls';
import type { HttpBindings } from '@hono/node-server';
import type { Context } from 'hono';
import type { Caller } from '../../callers/caller.ts';
import { commonNameOf } from '../common-name.ts';
import { type Headers, readHeaders } from '../context.ts';
import type { Parts } from '../exchange.ts';

/** Node's request and response; without a socket, as in tests, there are none. */
export const bindingsOf = ({ env }: Context): Partial<HttpBindings> => (env ?? {}) as Partial<HttpBindings>;

function* pairsOf(raw: readonly string[]): Generator<readonly [string, string]> {
  for (let at = 0; at + 1 < raw.length; at += 2) yield [raw[at] ?? '', raw[at + 1] ?? ''];
}

/**
 * The headers of a request, as Node read them: a Headers object of them would only be read once.
 * @throws REQUEST_INVALID over a limit
 */
export const headersOf = (c: Context): Headers => {
  const { incoming } = bindingsOf(c);
  return readHeaders(incoming === undefined ? c.req.raw.headers.entries() : pairsOf(incoming.rawHeaders));
};

/** One header of which a request has one at most. */
export const headerOf = (
  c: Context,
  name: 'content-length' | 'content-type' | 'content-encoding' | 'transfer-encoding' | 'origin',
): string | undefined => {
  const { incoming } = bindingsOf(c);
  return incoming === undefined ? c.req.header(name) : incoming.headers[name];
};

/**
 * Who sent a request, by its headers and its connection. Without a socket, as in tests, there is no address.
 * @throws UNAUTHENTICATED
 */
export const callerOf = (
  { identify }: Pick<Parts, 'identify'>,
  c: Context,
  headers: Headers,
): Promise<Caller> => {
  const { incoming } = bindingsOf(c);
  const socket = incoming?.socket;
  const certificate =
    socket instanceof TLSSocket && socket.authorized ? socket.getPeerCertificate() : undefined;
  return identify({ headers, address: socket?.remoteAddress, commonName: commonNameOf(certificate) });
};
