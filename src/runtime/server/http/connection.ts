import { TLSSocket } from 'node:tls';
import type { HttpBindings } from '@hono/node-server';
import type { Context } from 'hono';
import type { Caller } from '../../callers/caller.ts';
import { commonNameOf } from '../common-name.ts';
import type { Headers } from '../context.ts';
import type { Parts } from '../exchange.ts';

/**
 * Who sent a request, by its headers and its connection. Without a socket, as in tests, there is no address.
 * @throws UNAUTHENTICATED
 */
export const callerOf = (
  { identify }: Pick<Parts, 'identify'>,
  c: Context,
  headers: Headers,
): Promise<Caller> => {
  const { incoming } = (c.env ?? {}) as Partial<HttpBindings>;
  const socket = incoming?.socket;
  const certificate =
    socket instanceof TLSSocket && socket.authorized ? socket.getPeerCertificate() : undefined;
  return identify({ headers, address: socket?.remoteAddress, commonName: commonNameOf(certificate) });
};
