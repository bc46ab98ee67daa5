import { expect, it, vi } from 'vitest';
import { fakeParts } from '../testing/parts.ts';
import { startHealth, startHttp } from './server.ts';

const start = async (overrides: Parameters<typeof fakeParts>[0] = {}) => {
  const parts = fakeParts(overrides);
  const server = await startHttp({ ...parts, address: '127.0.0.1:0' });
  return {
    parts,
    url: `http://127.0.0.1:${server.port}`,
    server,
    [Symbol.asyncDispose]: () => server.close(100),
  };
};

const completion = (prompt: string, stream: boolean): RequestInit => ({
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify({ model: 'sql', prompt, stream, max_tokens: 2000 }),
});

it('a connection is left to its client longer than clients and gateways keep one that nobody uses', async () => {
  await using http = await start();
  const { headers } = await fetch(`${http.url}/livez`);
  expect(headers.get('keep-alive')).toBe('timeout=120');
});

it('a client whose connection breaks ends the generation, streamed or not', async () => {
  await using http = await start();
  http.parts.serving.gate = () => new Promise((resolve) => setTimeout(resolve, 5));
  for (const stream of [true, false]) {
    const client = new AbortController();
    const request = completion('x'.repeat(1000), stream);
    const response = fetch(`${http.url}/v1/completions`, { ...request, signal: client.signal });
    const failed = response.then((r) => r.text()).catch((error: unknown) => error);
    await vi.waitFor(() => expect(http.parts.serving.calls.length).toBe(stream ? 1 : 2));
    client.abort();
    await failed;
    const finished = stream ? 1 : 2;
    await vi.waitFor(() => expect(http.parts.serving.finished).toBe(finished));
    expect(http.parts.serving.calls.at(-1)?.signal.reason).toMatchObject({ code: 'REQUEST_CANCELLED' });
  }
});

it('a request that waits for a place gives it up when its connection breaks', async () => {
  await using http = await start();
  const { serving } = http.parts;
  serving.admits = false;
  for (const stream of [true, false]) {
    const client = new AbortController();
    const response = fetch(`${http.url}/v1/completions`, {
      ...completion('abc', stream),
      signal: client.signal,
    });
    const failed = response.catch((error: unknown) => error);
    await vi.waitFor(() => expect(serving.waiting).toBe(1));
    client.abort();
    await failed;
    await vi.waitFor(() => expect(serving.waiting).toBe(0));
    expect(serving.calls.at(-1)?.signal.reason).toMatchObject({ code: 'REQUEST_CANCELLED' });
  }
});

it('closing lets a request under way finish and takes no new ones', async () => {
  await using http = await start();
  const { promise: held, resolve: open } = Promise.withResolvers<void>();
  http.parts.serving.gate = () => held;
  const response = await fetch(`${http.url}/v1/completions`, completion('abc', true));
  const closed = http.server.close(5000);
  await expect(fetch(`${http.url}/livez`)).rejects.toThrow();
  open();
  expect(await response.text()).toContain('[DONE]');
  await closed;
});

it('an address that is taken or malformed is a configuration error', async () => {
  await using http = await start();
  const taken = http.url.replace('http://', '');
  await expect(startHttp({ ...http.parts, address: taken })).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
  });
  await expect(startHttp({ ...http.parts, address: 'nonsense' })).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
  });
});

it('a listener for health answers probes and Prometheus, and takes no request', async () => {
  const parts = fakeParts();
  const server = await startHealth({ ...parts, address: '127.0.0.1:0' });
  const url = `http://127.0.0.1:${server.port}`;
  const statusOf = async (path: string, init?: RequestInit) => (await fetch(`${url}${path}`, init)).status;
  expect(await Promise.all(['/livez', '/readyz', '/metrics'].map((path) => statusOf(path)))).toEqual([
    200, 200, 200,
  ]);
  expect(await statusOf('/v1/completions', completion('x', false))).toBe(404);
  expect(await statusOf('/v1/models')).toBe(404);
  expect(parts.serving.calls).toEqual([]);
  await server.close(100);
});

it('the port of requests has metrics only where it is asked to', async () => {
  await using http = await start({ hasMetrics: false });
  const statusOf = async (path: string): Promise<number> => (await fetch(`${http.url}${path}`)).status;
  expect(await Promise.all(['/livez', '/readyz', '/metrics'].map(statusOf))).toEqual([200, 200, 404]);
});
