import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { expect, it, vi } from 'vitest';
import { metricsAccess } from '../../../telemetry/metrics-access.ts';
import { fakeParts } from '../testing/parts.ts';
import { startHealth, startHttp } from './server.ts';

const startServer = async (what: 'requests' | 'health' = 'requests') => {
  const parts = fakeParts();
  const options = { ...parts, address: '127.0.0.1:0' };
  const server =
    what === 'requests'
      ? await startHttp(options)
      : await startHealth({ ...options, access: await metricsAccess({ metricsAccess: 'token' }) });
  return { port: server.port, serving: parts.serving, [Symbol.asyncDispose]: () => server.close(100) };
};
const patience = { timeout: 20_000 };
const head = 'POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n';

const opened = (port: number, text: string) => {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true }).on('error', () => undefined);
  const seen = { socket, text: '' };
  socket.on('data', (data: Buffer) => void (seen.text += String(data)));
  socket.write(text);
  return seen;
};
/** Sends without looking at what comes, until all is sent or the connection broke. */
const send = async (socket: Socket, mib: number): Promise<number> => {
  const part = Buffer.alloc(1 << 20, 0x20);
  for (let sent = 0; sent < mib; sent += 1) {
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const broken = (): void => resolve(false);
    socket.once('close', broken);
    socket.write(part, (error) => resolve(error === undefined || error === null));
    const taken = await promise;
    socket.off('close', broken);
    if (!taken) return sent;
  }
  return mib;
};

it('a client that sends a body above the limit to its end, and looks then, gets its answer and the end', async () => {
  await using http = await startServer();
  const socket = connect(http.port, '127.0.0.1').on('error', () => undefined);
  socket.pause();
  socket.write(`${head}content-length: ${5 << 20}\r\n\r\n`);
  expect(await send(socket, 5)).toBe(5);
  let text = '';
  socket.on('data', (data: Buffer) => void (text += String(data))).resume();
  await once(socket, 'end');
  expect(text).toMatch(/^HTTP\/1.1 413 /);
  expect(text).toMatch(/^connection: close\r$/im);
});

it('a body that is refused is not read to an end that it does not have', async () => {
  await using http = await startServer();
  const whole = opened(http.port, `${head}content-length: ${1 << 30}\r\n\r\n`);
  expect(await send(whole.socket, 1024)).toBeLessThan(1024);
  // It sends little, and does not end its side.
  const slow = opened(http.port, `${head}content-length: ${1 << 30}\r\n\r\n`);
  await vi.waitFor(() => {
    slow.socket.write(' ');
    expect(slow.socket.closed).toBe(true);
  }, patience);
  expect(slow.text).toMatch(/^HTTP\/1.1 413 /);
});

it.each([
  ['a host that is none', 'POST /v1/completions HTTP/1.1\r\nhost: a b\r\n', 400],
  ['no host', 'POST /v1/completions HTTP/1.1\r\nhost:\r\n', 400],
  ['a path that is none', 'POST /v1\\x HTTP/1.1\r\nhost: x\r\n', 400],
  ['an expectation that nobody knows', `${head}expect: x\r\n`, 413],
])('a body behind %s is not read to its end either', async (_, start, status) => {
  await using http = await startServer();
  const seen = opened(http.port, `${start}content-length: ${1 << 30}\r\n\r\n`);
  // How much came is looked at each 20 ms, in which a fast machine sends a hundred MiB.
  expect(await send(seen.socket, 1024)).toBeLessThan(1024);
  const looks = opened(http.port, `${start}content-length: ${1 << 30}\r\n\r\n`);
  await once(looks.socket, 'end');
  expect(looks.text).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
  expect(looks.text).toMatch(/^connection: close\r$/im);
  expect(looks.text).toContain('"message":');
  looks.socket.destroy();
});

it('what a listener for health is sent is not read either', async () => {
  await using http = await startServer('health');
  const { socket } = opened(http.port, `POST / HTTP/1.1\r\nhost: x\r\ncontent-length: ${1 << 30}\r\n\r\n`);
  expect(await send(socket, 1024)).toBeLessThan(1024);
});

it('JSON that nobody could mean is refused before the rest of it is there', async () => {
  await using http = await startServer();
  const seen = opened(http.port, `${head}content-length: ${4 << 20}\r\n\r\n${'['.repeat(300)}`);
  await once(seen.socket, 'end');
  expect(seen.text).toMatch(/^HTTP\/1.1 400 [^]*nested deeper than 256/);
  seen.socket.destroy();
});

it('a request that is refused behind another one leaves that its time', async () => {
  await using http = await startServer();
  const { promise: held, resolve: open } = Promise.withResolvers<void>();
  http.serving.gate = () => held;
  const body = '{"model": "sql", "prompt": "abc", "max_tokens": 1}';
  const seen = opened(
    http.port,
    `${head}content-length: ${body.length}\r\n\r\n${body}${head}content-length: ${5 << 20}\r\n\r\n`,
  );
  const sending = send(seen.socket, 5);
  // Longer than a connection lingers.
  await new Promise((resolve) => setTimeout(resolve, 2500));
  expect([seen.text, seen.socket.closed]).toEqual(['', false]);
  open();
  await once(seen.socket, 'end');
  expect(seen.text).toMatch(/^HTTP\/1.1 200 [^]*HTTP\/1.1 413 /);
  expect(await sending).toBe(5);
  seen.socket.destroy();
});

it.each(['application/json', 'text/plain'])(
  'a request that was whole before its answer leaves its connection as it was: %s, read or not',
  async (type) => {
    await using http = await startServer();
    const body = '{"model": 3}'.padEnd(60_000);
    const asked = `POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-type: ${type}\r\ncontent-length: ${body.length}`;
    const seen = opened(http.port, `${asked}\r\n\r\n${body}`);
    await vi.waitFor(() => expect(seen.text).toMatch(/^HTTP\/1.1 400 /), patience);
    expect(seen.text).toMatch(/^connection: keep-alive\r$/im);
    seen.text = '';
    seen.socket.write('GET /livez HTTP/1.1\r\nhost: x\r\n\r\n');
    await vi.waitFor(() => expect(seen.text).toMatch(/^HTTP\/1.1 200 /), patience);
    seen.socket.destroy();
  },
);
