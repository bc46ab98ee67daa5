import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect, createServer, type TLSSocket } from 'node:tls';
import { keepPoolSmall } from './small-pool.ts';

/**
 * For a process of its own: `node --expose-gc small-pool.fixture.ts`. Prints the bytes of buffers that a server has for each of 50
 * TLS connections which speak HTTP/2, where other small Buffers come and go between them.
 */
const connections = 50;
/** A key that both ends have takes no certificate. */
const psk = Buffer.alloc(32, 7);
const shared = { ciphers: 'PSK', minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' } as const;

keepPoolSmall();
const server = createServer({ ...shared, ALPNProtocols: ['h2'], pskCallback: () => psk });
server.listen(0, '127.0.0.1');
await once(server, 'listening');
const { port } = server.address() as AddressInfo;

/** The least of some looks: threads that sweep go on behind a collection where the machine is busy. */
const buffers = async (): Promise<number> => {
  let least = Infinity;
  for (let look = 0; look < 10; look += 1) {
    globalThis.gc?.();
    await sleep(20);
    least = Math.min(least, process.memoryUsage().arrayBuffers);
  }
  return least;
};
const sockets: TLSSocket[] = [];
const open = async (): Promise<void> => {
  const accepted = once(server, 'secureConnection');
  const checkServerIdentity = () => undefined;
  sockets.push(
    connect({ ...shared, port, checkServerIdentity, pskCallback: () => ({ psk, identity: 'x' }) }),
  );
  await accepted;
  for (let taken = 0; taken < 1_024; taken += 1)
    Buffer.from('what a busy process makes of a small text: it is gone at once');
};
await open();
const before = await buffers();
for (let count = 0; count < connections; count += 1) await open();
process.stdout.write(`${((await buffers()) - before) / connections}\n`);
for (const socket of sockets) socket.destroy();
server.close();
