import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { afterEach, expect, it, vi } from 'vitest';
import { FakeClock } from '../../../time/fake-clock.ts';
import { Penalties } from '../penalties.ts';
import { fakeParts } from '../testing/parts.ts';
import { startSecure } from '../testing/secure-servers.ts';
import { startHttp } from './server.ts';

const head = 'POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n';
const live = 'GET /livez HTTP/1.1\r\nhost: x\r\n\r\n';
/** What ends a connection, by why. */
const harmful = {
  chunks: `${head}transfer-encoding: chunked\r\n\r\n${'1\r\n \r\n'.repeat(9000)}`,
  pipelined: live.repeat(1000),
  unfinished: `${head}content-length: ${5 << 20}\r\n\r\n`,
};

const sockets: Socket[] = [];
afterEach(() => {
  for (const socket of sockets.splice(0)) socket.destroy();
});
/** A connection that sends something, and what came on it. */
const send = (port: number, text: string) => {
  const socket = connect(port, '127.0.0.1').on('error', () => undefined);
  sockets.push(socket);
  const seen = { socket, text: '' };
  socket.on('data', (data: Buffer) => void (seen.text += String(data)));
  socket.write(text);
  return seen;
};
const answered = (seen: { text: string }): Promise<void> =>
  vi.waitFor(() => expect(seen.text).toMatch(/^HTTP\/1.1 200 /), { timeout: 20_000 });

const start = async (isGateway?: () => boolean, maxConnections?: number) => {
  const clock = new FakeClock();
  const parts = fakeParts({ clock });
  const limits = {
    ...parts.limits,
    ...(isGateway === undefined ? {} : { isGateway }),
    ...(maxConnections === undefined ? {} : { maxConnections }),
  };
  const server = await startHttp({ ...parts, limits, address: '127.0.0.1:0' });
  return {
    clock,
    parts,
    server,
    port: server.port,
    metrics: () => parts.telemetry.metricsText(),
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      clock.advance(3000);
      await server.close(100);
    },
  };
};

type Http = Awaited<ReturnType<typeof start>>;

it.each([
  ['chunks', 20],
  ['pipelined', 20],
  ['unfinished', 50],
] as const)(
  'the next connection of an address waits for one that was ended (%s: %i ms), those that are there do not, and it is counted',
  async (why, ms) => {
    await using http = await start();
    const there = send(http.port, live);
    await answered(there);
    const ended = send(http.port, harmful[why]);
    if (why === 'unfinished') await once(ended.socket, 'data');
    else await once(ended.socket, 'close');
    const next = send(http.port, live);
    await once(next.socket, 'connect');
    there.text = '';
    there.socket.write(live);
    await answered(there);
    expect(await http.metrics()).toMatch(/^adaptlet_delayed_connections_total\{protocol="http"[^}]*\} 1$/m);
    http.clock.advance(ms - 1);
    await http.metrics();
    expect(next.text).toBe('');
    http.clock.advance(1);
    await answered(next);
    http.clock.advance(ms);
    const counted = `^adaptlet_ended_connections_total\\{protocol="http",cause="${why}"[^}]*\\} 1$`;
    expect(await http.metrics()).toMatch(new RegExp(counted, 'm'));
    await answered(send(http.port, live));
  },
);

it('the next connection of a gateway does not wait: its clients are many', async () => {
  await using http = await start(() => true);
  const ended = send(http.port, harmful.chunks);
  await once(ended.socket, 'close');
  await answered(send(http.port, live));
});

const streamOf = (tokens: number): string => {
  const body = JSON.stringify({ model: 'sql', prompt: 'abc', stream: true, max_tokens: tokens });
  return `${head}content-length: ${body.length}\r\n\r\n${body}`;
};

/** Asks so many times, and leaves while it waits for the first token. */
const leaveStreams = async ({ port, parts }: Http, many: number): Promise<void> => {
  const { serving } = parts;
  const { promise: held, resolve: open } = Promise.withResolvers<void>();
  serving.gate = () => held;
  for (let i = 0; i < many; i += 1) {
    const before = serving.calls.length;
    const { socket } = send(port, streamOf(10));
    await vi.waitFor(() => expect(serving.calls).toHaveLength(before + 1), { timeout: 20_000 });
    socket.destroy();
    await vi.waitFor(() => expect(serving.calls.at(-1)?.signal.aborted).toBe(true), { timeout: 20_000 });
  }
  open();
};

it('the next connection of an address waits where its clients leave their streams early over and over', async () => {
  await using http = await start();
  await leaveStreams(http, 40);
  const there = send(http.port, live);
  await answered(there);
  await leaveStreams(http, 1);
  const next = send(http.port, live);
  await once(next.socket, 'connect');
  there.text = '';
  there.socket.write(live);
  await answered(there);
  expect(next.text).toBe('');
  http.clock.advance(50);
  await answered(next);
  const counted = /^adaptlet_ended_connections_total\{protocol="http",cause="left"[^}]*\} 1$/m;
  expect(await http.metrics()).toMatch(counted);
});

it('who leaves a stream that is whole does not leave early', async () => {
  await using http = await start();
  await leaveStreams(http, 40);
  for (let i = 0; i < 5; i += 1) {
    const whole = send(http.port, streamOf(2));
    await vi.waitFor(() => expect(whole.text).toMatch(/\[DONE\]\n\n\r\n0\r\n\r\n$/), { timeout: 20_000 });
    whole.socket.destroy();
  }
  expect(await http.metrics()).not.toMatch(/cause="left"/);
});

it('of a client that waits and leaves nothing is begun', async () => {
  await using http = await start();
  await once(send(http.port, harmful.chunks).socket, 'close');
  const gone = send(http.port, live);
  await once(gone.socket, 'connect');
  gone.socket.resetAndDestroy();
  const next = send(http.port, live);
  await vi.waitFor(
    async () => expect(await http.metrics()).toMatch(/^adaptlet_delayed_connections_total\{.*\} 2$/m),
    { timeout: 20_000 },
  );
  http.clock.advance(100);
  await answered(next);
});

it('a server that closes ends connections that wait', async () => {
  await using http = await start();
  await once(send(http.port, harmful.chunks).socket, 'close');
  const waits = send(http.port, live);
  await vi.waitFor(
    async () => expect(await http.metrics()).toMatch(/^adaptlet_delayed_connections_total\{.*\} 1$/m),
    { timeout: 20_000 },
  );
  const closed = http.server.close(60_000);
  await vi.waitFor(() => expect(waits.socket.closed).toBe(true), { timeout: 20_000 });
  await closed;
  expect(waits.text).toBe('');
});

it('a body of which nobody knows how long it is counts by what comes behind its answer', async () => {
  await using http = await start();
  const seen = send(http.port, 'POST /nothing HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n');
  await once(seen.socket, 'data');
  expect(await http.metrics()).not.toMatch(/^adaptlet_ended_connections_total\{/m);
  seen.socket.write(`20000\r\n${'x'.repeat(128 << 10)}`);
  await vi.waitFor(
    async () => {
      http.clock.advance(20);
      expect(await http.metrics()).toMatch(
        /^adaptlet_ended_connections_total\{protocol="http",cause="unfinished"[^}]*\} 1$/m,
      );
    },
    { timeout: 20_000 },
  );
});

it('what a client sent while its connection waited is read then, over TLS as well', async () => {
  const clock = new FakeClock();
  await using secure = await startSecure({ clock });
  const refused = { path: '/v1/completions', body: 'x'.repeat(5 << 20) };
  expect((await secure.ask(refused)).status).toBe(413);
  const next = secure.ask({ path: '/livez' });
  await vi.waitFor(
    async () =>
      expect(await secure.parts.telemetry.metricsText()).toMatch(
        /^adaptlet_delayed_connections_total\{.*\} 1$/m,
      ),
    { timeout: 20_000 },
  );
  clock.advance(50);
  expect((await next).status).toBe(200);
  clock.advance(5000);
});

/** What well-behaved clients do, over bad networks as well. */
const usual: Readonly<Record<string, (http: Http) => Promise<void>>> = {
  async 'send a body in a few hundred segments of a few bytes'({ port }) {
    const admit = vi.spyOn(Penalties.prototype, 'admit');
    const body = JSON.stringify({ model: 'sql', prompt: 'x'.repeat(1000), max_tokens: 1 });
    const seen = send(port, `${head}content-length: ${body.length}\r\n\r\n`);
    seen.socket.setNoDelay();
    await vi.waitFor(() => expect(admit).toHaveBeenCalled(), { timeout: 20_000 });
    const [taken] = admit.mock.lastCall ?? [];
    admit.mockRestore();
    for (const segment of body.match(/.{1,3}/g) ?? []) {
      seen.socket.write(segment);
      // What is written before the last segment was read would be read with it.
      const sent = seen.socket.bytesWritten;
      while ((taken?.bytesRead ?? 0) < sent) await new Promise(setImmediate);
    }
    await answered(seen);
  },
  async 'leave a stream of tokens'({ port }) {
    const body = JSON.stringify({ model: 'sql', prompt: 'x'.repeat(1000), stream: true, max_tokens: 2000 });
    const seen = send(port, `${head}content-length: ${body.length}\r\n\r\n${body}`);
    await answered(seen);
    seen.socket.destroy();
  },
  async 'leave while they send'({ port, parts, metrics }) {
    const began = vi.spyOn(parts.telemetry, 'request');
    const before = began.mock.calls.length;
    const seen = send(port, `${head}content-length: ${1 << 20}\r\n\r\n{`);
    await vi.waitFor(() => expect(began).toHaveBeenCalledTimes(before + 1), { timeout: 20_000 });
    seen.socket.destroy();
    const cancelled = new RegExp(`code="REQUEST_CANCELLED"[^}]*\\} ${before + 1}$`, 'm');
    await vi.waitFor(async () => expect(await metrics()).toMatch(cancelled), { timeout: 20_000 });
  },
  async 'ask what is refused'({ port }) {
    const seen = send(port, `${head}content-length: 12\r\n\r\n{"model": 3}`);
    await once(seen.socket, 'data');
    expect(seen.text).toMatch(/^HTTP\/1.1 400 /);
  },
  async 'are refused before their small body came'({ port }) {
    const seen = send(port, 'POST /nothing HTTP/1.1\r\nhost: x\r\ncontent-length: 60000\r\n\r\n');
    await once(seen.socket, 'data');
    expect(seen.text).toMatch(/^HTTP\/1.1 404 /);
    seen.socket.end('x'.repeat(60_000));
    await once(seen.socket, 'close');
  },
};

it.each(Object.entries(usual))('the next connections of clients that %s do not wait', async (_, act) => {
  await using http = await start();
  for (let i = 0; i < 5; i += 1) await act(http);
  await answered(send(http.port, live));
  expect(await http.metrics()).not.toMatch(/^adaptlet_(ended|delayed)_connections_total\{/m);
});

it('clients that ask and are gone while they wait leave room for who stays', async () => {
  await using http = await start(undefined, 16);
  const admit = vi.spyOn(Penalties.prototype, 'admit');
  await once(send(http.port, harmful.chunks).socket, 'close');
  // A quarter of the connections may wait.
  for (let i = 0; i < 10; i += 1) {
    admit.mockClear();
    const gone = send(http.port, live);
    await vi.waitFor(() => expect(admit).toHaveBeenCalled(), { timeout: 20_000 });
    const [taken] = admit.mock.lastCall ?? [];
    gone.socket.end();
    await vi.waitFor(() => expect(taken?.destroyed).toBe(true), { timeout: 20_000 });
    expect(gone.text).toBe('');
  }
  const stays = send(http.port, live);
  await vi.waitFor(() => expect(admit).toHaveBeenCalledTimes(2), { timeout: 20_000 });
  http.clock.advance(20);
  await answered(stays);
});
