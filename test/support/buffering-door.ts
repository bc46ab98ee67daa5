import { once } from 'node:events';
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A proxy before a registry that passes requests on once they are whole, as nginx does unless it is told otherwise. */
export type BufferingDoor = AsyncDisposable & {
  readonly host: string;
  /** Methods of the requests that came, in their order, with their ranges. */
  readonly seen: string[];
  /** Bytes of bodies that came. */
  readonly received: number;
  /** The connection is broken, once, when more than this came. */
  cutsAt: number;
};

export const startBufferingDoor = async (target: string): Promise<BufferingDoor> => {
  const seen: string[] = [];
  let received = 0;
  const server = createServer((incoming, outgoing) => {
    const { method = 'GET', headers, url } = incoming;
    const range = headers['content-range'];
    seen.push(range === undefined ? method : `${method} ${range}`);
    const parts: Buffer[] = [];
    incoming.on('error', () => undefined);
    incoming.on('data', (chunk: Buffer) => {
      parts.push(chunk);
      received += chunk.length;
      if (received <= door.cutsAt) return;
      door.cutsAt = Number.POSITIVE_INFINITY;
      incoming.socket.resetAndDestroy();
    });
    incoming.on('end', () => {
      const onward = request(`http://${target}${url ?? '/'}`, { method, headers }, (answer) => {
        outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(outgoing);
      });
      onward.on('error', () => outgoing.destroy());
      onward.end(Buffer.concat(parts));
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const door = {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    get received() {
      return received;
    },
    cutsAt: Number.POSITIVE_INFINITY,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return door;
};
