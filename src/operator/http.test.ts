import { once } from 'node:events';
import { connect } from 'node:net';
import { expect, it } from 'vitest';
import { startHttp } from './http.ts';

const pages = {
  metrics: () => 'a 1\n',
  lost: () => undefined,
  ready: () => ({ ok: true, reason: '' }),
  access: async () => ({ status: 200 }) as const,
};

it('probes are answered where another address has all connections that there may be', async () => {
  await using stack = new AsyncDisposableStack();
  const port = await startHttp('127.0.0.1:0', pages, stack);
  const flood = Array.from({ length: 400 }, () =>
    connect({ port, host: '127.0.0.1', localAddress: '127.0.0.2' })
      .on('error', () => undefined)
      .resume(),
  );
  await Promise.all(flood.map((socket) => once(socket, 'connect')));
  const probe = await fetch(`http://127.0.0.1:${port}/livez`);
  expect(probe.status).toBe(200);
  await expect.poll(() => flood.filter(({ closed }) => !closed).length).toBeLessThanOrEqual(256);
  for (const socket of flood) socket.destroy();
});
