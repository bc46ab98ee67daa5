import { once } from 'node:events';
import { type AddressInfo, isIPv4, type Server, type Socket } from 'node:net';
import { AdaptletError } from '../errors/adaptlet-error.ts';

/**
 * Reads `host:port`, with IPv6 hosts in brackets; no host is every address.
 * @throws CONFIG_INVALID
 */
export const parseAddress = (address: string): { readonly host: string; readonly port: number } => {
  const [, bracketed, plain, port] = /^(?:\[([^\]]+)\]|([^:]*)):(\d{1,5})$/.exec(address) ?? [];
  const host = bracketed ?? plain;
  if (host === undefined || Number(port) > 65_535)
    throw new AdaptletError('CONFIG_INVALID', `cannot listen on ${address}: it must be host:port`);
  return { host: host === '' ? '::' : host, port: Number(port) };
};

/**
 * True when only this machine, or this pod, reaches what listens on `host:port` or `unix:/path`.
 * @throws CONFIG_INVALID
 */
export const isLoopback = (address: string): boolean => {
  if (address.startsWith('unix:')) return true;
  const { host } = parseAddress(address);
  return host === 'localhost' || host === '::1' || (isIPv4(host) && host.startsWith('127.'));
};

/**
 * Connections that wait to be taken. Node's 511 are full after half a second without time beside clients that come and go: whoever
 * comes then waits for one second, two, four, and gives up.
 */
const backlog = 4096;

/**
 * The connections of a server, kept: those in their TLS handshake too, for which its close waits and which none of Node's own methods end.
 * To be called before it listens.
 */
export const openSockets = (server: Server): ReadonlySet<Socket> => {
  const open = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    open.add(socket);
    socket.once('close', () => open.delete(socket));
  });
  return open;
};

/**
 * Lets a server listen on `host:port` and gives the port.
 * @throws CONFIG_INVALID when it cannot
 */
export const listenOn = async (server: Server, address: string): Promise<number> => {
  try {
    server.listen({ ...parseAddress(address), backlog });
    await once(server, 'listening');
  } catch (error) {
    if (error instanceof AdaptletError) throw error;
    const why = error instanceof Error ? error.message : String(error);
    throw new AdaptletError('CONFIG_INVALID', `cannot listen on ${address}: ${why}`, {
      advice: 'Stop what listens there, or name another address.',
      cause: error,
    });
  }
  return (server.address() as AddressInfo).port;
};
