import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { expect, it, vi } from 'vitest';
import { whileWeStandStill } from '../../../../test/support/stand-still.ts';
import { type MetricsAccess, type MetricsReader, metricsAccess } from '../../../telemetry/metrics-access.ts';
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

it('a whole answer tells its length, its kind and what served it; headers come as they were sent', async () => {
  await using http = await start();
  const body = JSON.stringify({ model: 'assistant', prompt: 'ab' });
  const socket = connect(Number(new URL(http.url).port), '127.0.0.1');
  socket.write(
    `POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nX-Request-Id: q1\r\nX-Tag: a\r\nx-tag: b\r\nCookie: c=1\r\nCookie: d=2\r\n` +
      `Content-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`,
  );
  const [head = '', text = ''] = (await socket.setEncoding('utf8').toArray()).join('').split('\r\n\r\n');
  expect(head).toMatch(/^HTTP\/1.1 200 OK\r\n/);
  expect(JSON.parse(text)).toMatchObject({ choices: [{ text: 'AB' }] });
  const told = head.split('\r\n').map((line) => line.toLowerCase());
  expect(told).toEqual(
    expect.arrayContaining([
      'content-type: application/json',
      `content-length: ${Buffer.byteLength(text)}`,
      'x-adaptlet-adapter: upper',
      'x-adaptlet-rule: %c3%bcberall',
      'x-adaptlet-request-id: r1',
      'x-request-id: q1',
    ]),
  );
  const { headers } = http.parts.serving.calls[0]?.context ?? {};
  expect(headers?.get('x-tag')).toBe('a, b');
  expect(headers?.get('cookie')).toBe('c=1; d=2');
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

it('a client that sends many requests before it has an answer loses its connection, and all of them end', async () => {
  await using http = await start();
  const { serving } = http.parts;
  const { promise: held, resolve: open } = Promise.withResolvers<void>();
  serving.gate = () => held;
  const { port } = new URL(http.url);
  const send = (many: number) => {
    const body = JSON.stringify({ model: 'sql', prompt: 'abc', max_tokens: 3 });
    const one = `POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
    const socket = connect(Number(port), '127.0.0.1');
    socket.on('error', () => undefined).resume();
    socket.write(one.repeat(many));
    return socket;
  };
  const few = send(16);
  await vi.waitFor(() => expect(serving.calls).toHaveLength(16));
  const many = send(1000);
  await vi.waitFor(() => expect(many.closed).toBe(true));
  expect(serving.calls.length).toBeLessThanOrEqual(32);
  expect(few.closed).toBe(false);
  few.destroy();
  await vi.waitFor(() => expect(serving.calls.every(({ signal }) => signal.aborted)).toBe(true));
  open();
});

it('requests with an expectation that nobody knows are requests as others are', async () => {
  await using http = await start();
  const { port } = new URL(http.url);
  const get = 'GET /livez HTTP/1.1\r\nhost: x\r\nexpect: x\r\n';
  const one = connect(Number(port), '127.0.0.1');
  one.write(`${get}connection: close\r\n\r\n`);
  expect((await one.setEncoding('utf8').toArray()).join('')).toMatch(/^HTTP\/1.1 200 /);
  const many = connect(Number(port), '127.0.0.1');
  let answers = 0;
  many
    .on('error', () => undefined)
    .on('data', (data) => void (answers += String(data).split('HTTP/1.1 ').length - 1));
  many.write(`${get}\r\n`.repeat(1000));
  await vi.waitFor(() => expect(many.closed).toBe(true));
  expect(answers).toBeLessThanOrEqual(16);
});

it('a request whose client left before anybody looked is not begun', async () => {
  await using http = await start();
  const { port } = new URL(http.url);
  const body = JSON.stringify({ model: 'sql', prompt: 'abc', max_tokens: 3 });
  const request = `POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
  const leave = `
    let left = 0;
    for (let i = 0; i < data.many; i += 1) {
      const socket = require('node:net').connect(Number(data.port), '127.0.0.1', () =>
        socket.end(data.request, () => socket.destroy()));
      socket.on('close', () => { left += 1; if (left === data.many) done(); });
    }`;
  await whileWeStandStill(leave, { many: 50, port, request });
  expect((await fetch(`${http.url}/v1/completions`, completion('abc', false))).status).toBe(200);
  expect(http.parts.serving.calls).toHaveLength(1);
});

it('clients connect while the server has no time, a thousand of them at once', async () => {
  await using http = await start();
  const { port } = new URL(http.url);
  const most = Math.min(1000, Number(readFileSync('/proc/sys/net/core/somaxconn', 'utf8')));
  const connected = new Int32Array(new SharedArrayBuffer(4));
  const all = `
    const late = setTimeout(done, 10_000);
    for (let i = 0; i < data.most; i += 1) {
      require('node:net').connect(Number(data.port), '127.0.0.1', () => {
        if (Atomics.add(data.connected, 0, 1) + 1 === data.most) { clearTimeout(late); done(); }
      }).on('error', () => undefined);
    }`;
  await whileWeStandStill(all, { most, port, connected });
  expect(Atomics.load(connected, 0)).toBe(most);
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
  const access = await metricsAccess({ metricsAccess: 'token' });
  const server = await startHealth({ ...parts, address: '127.0.0.1:0', access });
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

it('a listener for health gives metrics to whom it may, and answers probes of everybody', async () => {
  const seen: MetricsReader[] = [];
  const access: MetricsAccess = async (reader) => {
    seen.push(reader);
    return { status: 401, message: 'no', headers: { 'www-authenticate': 'Bearer' } };
  };
  const server = await startHealth({ ...fakeParts(), address: '127.0.0.1:0', access });
  const ask = (path: string) =>
    fetch(`http://127.0.0.1:${server.port}${path}`, { headers: { authorization: 'Bearer word' } });
  const refused = await ask('/metrics');
  expect([refused.status, refused.headers.get('www-authenticate'), await refused.text()]).toEqual([
    401,
    'Bearer',
    'no',
  ]);
  expect(seen).toEqual([{ address: '127.0.0.1', authorization: 'Bearer word' }]);
  expect((await ask('/readyz')).status).toBe(200);
  await server.close(100);
});

it('the port of requests has metrics only where it is asked to', async () => {
  await using http = await start({ hasMetrics: false });
  const statusOf = async (path: string): Promise<number> => (await fetch(`${http.url}${path}`)).status;
  expect(await Promise.all(['/livez', '/readyz', '/metrics'].map(statusOf))).toEqual([200, 200, 404]);
});
