import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { parseAddress } from '../../src/settings/address.ts';
import { connectTo } from './tcp-proxy.ts';

/** Passes TLS on without looking into it, as a gateway with a TLSRoute does: to where the name in the ClientHello leads. */
export type SniProxy = AsyncDisposable & {
  readonly port: number;
  /** Names that were asked for, in order; '' for none. */
  readonly names: readonly string[];
  /** Leads a name to these host:port in turn. */
  route(name: string, targets: readonly string[]): void;
};

/** The server name of a ClientHello (RFC 8446, 4.1.2; RFC 6066, 3); '' for none; undefined: more bytes are needed. */
const serverNameOf = (bytes: Buffer): string | undefined => {
  if (bytes.length < 5 || bytes.length < 5 + bytes.readUInt16BE(3)) return undefined;
  // Record, handshake header, version and random.
  let at = 5 + 4 + 2 + 32;
  at += 1 + bytes.readUInt8(at);
  at += 2 + bytes.readUInt16BE(at);
  at += 1 + bytes.readUInt8(at);
  const end = at + 2 + bytes.readUInt16BE(at);
  for (at += 2; at < end; ) {
    const [type, length] = [bytes.readUInt16BE(at), bytes.readUInt16BE(at + 2)];
    if (type === 0) return bytes.toString('ascii', at + 9, at + 4 + length);
    at += 4 + length;
  }
  return '';
};

export const startSniProxy = async (): Promise<SniProxy> => {
  const routes = new Map<string, readonly string[]>();
  const names: string[] = [];
  const sockets = new Set<Socket>();
  let turn = 0;
  const keep = (socket: Socket): void => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    socket.on('error', () => socket.destroy());
  };
  const join = async (client: Socket): Promise<void> => {
    keep(client);
    let bytes = Buffer.alloc(0);
    let name: string | undefined;
    while (name === undefined) {
      const [chunk] = (await once(client, 'data')) as [Buffer];
      bytes = Buffer.concat([bytes, chunk]);
      name = serverNameOf(bytes);
    }
    client.pause();
    names.push(name);
    const targets = routes.get(name) ?? [];
    const target = targets[turn++ % targets.length];
    if (target === undefined) {
      client.destroy();
      return;
    }
    const { host, port } = parseAddress(target);
    const upstream = await connectTo(port, host);
    keep(upstream);
    upstream.write(bytes);
    client.pipe(upstream);
    upstream.pipe(client);
  };
  const server = createServer((client) => {
    join(client).catch(() => client.destroy());
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    names,
    route: (name, targets) => void routes.set(name, targets),
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
};
