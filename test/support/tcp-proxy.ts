import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** Stands between a client and a server, and does what networks do. */
export type TcpProxy = AsyncDisposable & {
  readonly port: number;
  /** Connections that are open now. */
  readonly open: number;
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

/** A proxy on the loopback of this machine. */
export const startTcpProxy = async (port: number, host = '127.0.0.1'): Promise<TcpProxy> => {
  const sockets = new Set<Socket>();
  let refusing = false;
  let bytesPerSecond: number | undefined;
  let frozen: PromiseWithResolvers<void> | undefined;

  /** One direction, with the backpressure of a pipe. */
  const pass = async (from: Socket, to: Socket, limited: boolean): Promise<void> => {
    try {
      for await (const chunk of from as AsyncIterable<Buffer>) {
        await frozen?.promise;
        if (limited && bytesPerSecond !== undefined) await sleep((chunk.length / bytesPerSecond) * 1000);
        if (!to.write(chunk)) await Promise.race([once(to, 'drain'), once(to, 'close')]);
      }
      to.end();
    } catch {
      // A reset of one side is one of the other.
      to.resetAndDestroy();
    }
  };

  const server = createServer({ allowHalfOpen: true }, (client) => {
    if (refusing) {
      client.resetAndDestroy();
      return;
    }
    const upstream = connect({ port, host, allowHalfOpen: true });
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.once('close', () => sockets.delete(socket));
      socket.on('error', () => socket.destroy());
    }
    void pass(client, upstream, false);
    void pass(upstream, client, true);
  });
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
