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
  const { port, ended } = await startHttp('127.0.0.1:0', pages, stack);
  const flood = Array.from({ length: 400 }, () =>
    connect({ port, host: '127.0.0.1', localAddress: '127.0.0.2' })
      .on('error', () => undefined)
      .resume(),
  );
  await Promise.all(flood.map((socket) => once(socket, 'connect')));
  const probe = await fetch(`http://127.0.0.1:${port}/livez`);
  expect(probe.status).toBe(200);
  await expect
    .poll(() => flood.filter(({ closed }) => !closed).length, { timeout: 10_000 })
    .toBeLessThanOrEqual(256);
  expect(ended()).toBeGreaterThan(0);
  for (const socket of flood) socket.destroy();
});

it('a scrape under way is answered where others of its address come without end', async () => {
  await using stack = new AsyncDisposableStack();
  const { promise: allowed, resolve: allow } = Promise.withResolvers<void>();
  const { promise: begun, resolve: begins } = Promise.withResolvers<void>();
  const access = async () => {
    begins();
    await allowed;
    return { status: 200 } as const;
  };
  const { port, ended } = await startHttp('127.0.0.1:0', { ...pages, access }, stack);
  const scrape = fetch(`http://127.0.0.1:${port}/metrics`);
  await begun;
  const flood = Array.from({ length: 300 }, () =>
    connect({ port, host: '127.0.0.1' })
      .on('error', () => undefined)
      .resume(),
  );
  await expect.poll(ended, { timeout: 10_000 }).toBeGreaterThan(0);
  allow();
  expect(await (await scrape).text()).toBe('a 1\n');
  for (const socket of flood) socket.destroy();
});
