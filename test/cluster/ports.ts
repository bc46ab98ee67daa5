import { createServer } from 'node:net';

const canListen = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });

const given = new Set<number>();

/** Each test process has ports of its own: none is given away while the server of another process is down for a test. */
const first = 20_000;
const perProcess = 1500;
const processes = 8;
const own = first + (Number(process.env['VITEST_POOL_ID'] ?? 0) % processes) * perProcess;

/**
 * A free loopback port below the range that the kernel gives to outgoing connections: a server that goes away for a
 * while finds its port free when it comes back.
 */
export const freePort = async (): Promise<number> => {
  for (let attempt = 0; attempt < 200; attempt++) {
    const port = own + Math.floor(Math.random() * perProcess);
    if (given.has(port) || !(await canListen(port))) continue;
    given.add(port);
    return port;
  }
  throw new Error(`no free port between ${own} and ${own + perProcess} on 127.0.0.1`);
};
