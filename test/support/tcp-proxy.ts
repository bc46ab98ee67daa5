import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** Stands between a client and a server, and does what networks do. */
export type TcpProxy = AsyncDisposable & {
  readonly port: number;
  /** Connections that are open now. */
  readonly open: number;
  /** Bytes that came from the server. */
  readonly received: number;
  /** Resets every connection; new ones are let through. */
  readonly cut: () => void;
  /** Resets every connection, and new ones until `accept`. */
  readonly refuse: () => void;
  readonly accept: () => void;
  /** Keeps connections open, takes new ones, and lets no byte pass until `thaw`. */
  readonly freeze: () => void;
  readonly thaw: () => void;
  /** Lets `bytes` per second pass from the server on each connection; undefined: as many as come. */
  readonly slowDown: (bytes: number | undefined) => void;
};

/**
 * Connects to a server.
 * @throws what the system says
 */
export const connectTo = async (port: number, host = '127.0.0.1'): Promise<Socket> => {
  const socket = connect({ port, host, allowHalfOpen: true });
  await once(socket, 'connect');
  return socket;
};

/** A proxy on the loopback of this machine. `reach` connects to the server that a new connection goes to. */
export const startTcpProxy = async (reach: () => Promise<Socket>): Promise<TcpProxy> => {
  const sockets = new Set<Socket>();
  let received = 0;
  let refusing = false;
  let bytesPerSecond: number | undefined;
  let frozen: PromiseWithResolvers<void> | undefined;

  /** One direction, with the backpressure of a pipe. */
  const pass = async (from: Socket, to: Socket, fromServer: boolean): Promise<void> => {
    try {
      for await (const chunk of from as AsyncIterable<Buffer>) {
        await frozen?.promise;
        if (fromServer) {
          received += chunk.length;
          if (bytesPerSecond !== undefined) await sleep((chunk.length / bytesPerSecond) * 1000);
        }
        if (to.destroyed) break;
        if (!to.write(chunk)) await Promise.race([once(to, 'drain'), once(to, 'close')]);
      }
      to.end();
    } catch {
      // A reset of one side is one of the other.
      to.resetAndDestroy();
    }
  };

  const keep = (socket: Socket): void => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    socket.on('error', () => socket.destroy());
  };
  const join = async (client: Socket): Promise<void> => {
    keep(client);
    const upstream = refusing ? undefined : await reach().catch(() => undefined);
    if (upstream === undefined || refusing || client.destroyed) {
      client.resetAndDestroy();
      upstream?.resetAndDestroy();
      return;
    }
    keep(upstream);
    void pass(client, upstream, false);
    void pass(upstream, client, true);
  };

  const server = createServer({ allowHalfOpen: true }, (client) => void join(client));
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const cut = (): void => {
    for (const socket of sockets) socket.resetAndDestroy();
  };
  const thaw = (): void => {
    frozen?.resolve();
    frozen = undefined;
  };
  return {
    port: (server.address() as AddressInfo).port,
    get open() {
      return sockets.size / 2;
    },
    get received() {
      return received;
    },
    cut,
    refuse: () => {
      refusing = true;
      cut();
    },
    accept: () => {
      refusing = false;
    },
    freeze: () => {
      frozen ??= Promise.withResolvers();
    },
    thaw,
    slowDown: (bytes) => {
      bytesPerSecond = bytes;
    },
    [Symbol.asyncDispose]: async () => {
      thaw();
      cut();
      server.close();
      await once(server, 'close');
    },
  };
};
