import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { describe, expect, it, vi } from 'vitest';
import { silentLog } from '../../../telemetry/log.fixture.ts';
import { startFakeHttp } from '../testing/http-app.ts';
import { fakeParts } from '../testing/parts.ts';
import { BodyRoom, maxBodyBytes } from './body.ts';
import { startHttp } from './server.ts';

const limits = { maxConnections: 100, idleMs: 120_000, bodyMs: 60_000, bodyBytes: 8 << 20 };
/** Machines are busy. */
const patience = { timeout: 20_000 };
const start = async (overrides: Parameters<typeof fakeParts>[0] = {}) => {
  const parts = fakeParts(overrides);
  const server = await startHttp({ ...parts, address: '127.0.0.1:0' });
  return {
    parts,
    port: server.port,
    url: `http://127.0.0.1:${server.port}`,
    [Symbol.asyncDispose]: () => server.close(100),
  };
};
const completion = (prompt: string) => JSON.stringify({ model: 'sql', prompt, max_tokens: 1 });
/** A body that is large, and asks for little: JSON ends with any white space. */
const padded = (bytes: number): string => completion('abc') + ' '.repeat(bytes);
const headers = { 'content-type': 'application/json' };
const head = 'POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n';

describe('the memory for bodies', () => {
  it('is taken by what came, and refuses what is beyond it until others are through', () => {
    const room = new BodyRoom(100);
    room.take(60);
    expect(() => room.take(41)).toThrow(expect.objectContaining({ code: 'QUEUE_FULL', retryAfterMs: 1000 }));
    room.take(40);
    room.give(60);
    room.take(60);
    expect(room.used).toBe(100);
  });

  it('is given back by a request that is through, whatever became of it', async () => {
    const { post } = startFakeHttp({ limits: { ...limits, bodyBytes: 3 << 20 } });
    const large = padded(2 << 20);
    for (let i = 0; i < 4; i += 1) expect((await post('/v1/completions', large)).status).toBe(200);
    for (let i = 0; i < 4; i += 1)
      expect(
        (await post('/v1/completions', large, { headers: { 'content-type': 'text/plain' } })).status,
      ).toBe(400);
    expect((await post('/v1/completions', large)).status).toBe(200);
  });

  it('does not keep small bodies out while large ones fill it', async () => {
    await using http = await start({ limits: { ...limits, bodyBytes: 1 << 20 } });
    const hold = () => {
      const socket = connect(http.port, '127.0.0.1');
      const held = { socket, isRefused: false };
      socket.on('error', () => undefined).once('data', () => void (held.isRefused = true));
      socket.write(`${head}content-length: ${2 << 20}\r\n\r\n`);
      socket.write(Buffer.alloc(700 << 10, 0x20));
      return held;
    };
    const ask = (body: string) => fetch(`${http.url}/v1/completions`, { method: 'POST', headers, body });
    let slow = hold();
    await vi.waitFor(async () => {
      // Both grow at the same time: the other one may come first.
      if (slow.isRefused) slow = hold();
      const refused = await ask(padded(400_000));
      expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, '1']);
    }, patience);
    expect((await ask(completion('abc'))).status).toBe(200);
    slow.socket.destroy();
    await vi.waitFor(async () => expect((await ask(padded(400_000))).status).toBe(200), patience);
  });
});

it('a body in chunks is read, and one above the limit refused while it comes', async () => {
  await using http = await start();
  const send = (parts: readonly string[]) =>
    fetch(`${http.url}/v1/completions`, {
      method: 'POST',
      headers,
      body: ReadableStream.from(parts.map((part) => Buffer.from(part))),
      duplex: 'half',
    });
  const text = completion('abc');
  expect((await send([text.slice(0, 10), text.slice(10)])).status).toBe(200);
  const tooMuch = Array.from({ length: 5 }, () => 'x'.repeat(1 << 20));
  const refused = await send(tooMuch).then(
    ({ status }) => status,
    () => 413, // The connection may be closed while the rest is sent.
  );
  expect(refused).toBe(413);
});

it('a body in single bytes is kept in one piece, and not in as many pieces as bytes', async () => {
  const { app } = startFakeHttp();
  const text = Buffer.from(completion('abc'));
  // One piece of memory for all of them: who kept the parts would have the last byte many times.
  const part = Buffer.alloc(1);
  let at = 0;
  const pull = (controller: ReadableStreamDefaultController<Uint8Array>) => {
    const byte = text[at];
    at += 1;
    if (byte === undefined) return controller.close();
    part[0] = byte;
    return controller.enqueue(part);
  };
  const body = new ReadableStream({ pull }, { highWaterMark: 0 });
  const init = { method: 'POST', headers, body, duplex: 'half' } as RequestInit;
  expect((await app.request('/v1/completions', init)).status).toBe(200);
});

it('a connection ends that sends its body in chunks of a few bytes, and one in usual chunks goes on', async () => {
  await using http = await start();
  const send = async (chunk: string) => {
    const socket = connect(http.port, '127.0.0.1');
    socket.on('error', () => undefined);
    const answer = new Promise<string>((resolve) => {
      socket
        .once('data', (data: Buffer) => resolve(String(data).slice(0, 12)))
        .once('close', () => resolve('closed'));
    });
    const text = completion('abc') + ' '.repeat(100_000);
    const chunks = text.match(new RegExp(chunk, 'g')) ?? [];
    socket.write(`${head}transfer-encoding: chunked\r\n\r\n`);
    socket.write(`${chunks.map((one) => `${one.length.toString(16)}\r\n${one}\r\n`).join('')}0\r\n\r\n`);
    const said = await answer;
    socket.destroy();
    return said;
  };
  expect(await send('.')).toBe('closed');
  expect(await send('.{1,10}')).toBe('closed');
  expect(await send('.{1,20}')).toBe('HTTP/1.1 200');
  expect(await send('.{1,100}')).toBe('HTTP/1.1 200');
});

it('every route that takes a body takes none above the limit', async () => {
  const { app, post } = startFakeHttp();
  const paths = new Set(app.routes.filter(({ method }) => method === 'POST').map(({ path }) => path));
  expect(paths.size).toBeGreaterThanOrEqual(11);
  for (const path of paths) {
    const { status } = await post(
      path.replace('*', 'sql/infer').replace(':rest{.+}', 'sql/load'),
      ' '.repeat(maxBodyBytes + 1),
    );
    expect([path, status]).toEqual([path, 413]);
  }
});

it('a client that goes away while it sends has cancelled, and nothing failed', async () => {
  const codes: unknown[] = [];
  const failed: string[] = [];
  const log = {
    ...silentLog,
    debug: (keys: object) => void codes.push((keys as { code?: unknown }).code),
    error: (_keys: object, message: string) => void failed.push(message),
  };
  await using http = await start({ log });
  const began = vi.spyOn(http.parts.telemetry, 'request');
  const socket = connect(http.port, '127.0.0.1');
  socket.on('error', () => undefined).resume();
  socket.write(`${head}content-length: 9\r\n\r\n{`);
  await vi.waitFor(() => expect(began).toHaveBeenCalled(), patience);
  socket.destroy();
  await vi.waitFor(() => expect(codes).toEqual(['REQUEST_CANCELLED']), patience);
  expect(failed).toEqual([]);
});

it('a body that is late is refused as what it is, in answer, log and metric, and lets its memory go', async () => {
  const codes: unknown[] = [];
  const log = {
    ...silentLog,
    debug: (keys: object) => void codes.push((keys as { code?: unknown }).code),
  };
  const bounds = { ...limits, bodyMs: 50, bodyBytes: 1 << 20 };
  await using http = await start({ log, limits: bounds });
  const socket = connect(http.port, '127.0.0.1');
  const came: Buffer[] = [];
  socket.on('error', () => undefined).on('data', (part: Buffer) => void came.push(part));
  socket.write(`${head}content-length: ${2 << 20}\r\n\r\n`);
  socket.write(Buffer.alloc(700 << 10, 0x20));
  await vi.waitFor(() => expect(socket.closed).toBe(true), patience);
  const answer = Buffer.concat(came).toString();
  expect(answer).toMatch(/^HTTP\/1.1 408 /);
  expect(answer).toMatch(/^x-adaptlet-error: CLIENT_TOO_SLOW\r$/m);
  expect(answer).toContain(
    'the body did not come within 50 ms (--body-timeout). Send the whole body at once.',
  );
  expect(answer).toContain('"code":"client_too_slow"');
  expect(codes).toEqual(['CLIENT_TOO_SLOW']);
  const metrics = await http.parts.telemetry.metricsText();
  expect(metrics).toContain('code="CLIENT_TOO_SLOW"} 1');
  expect(metrics).not.toContain('REQUEST_CANCELLED');
  const next = { method: 'POST', headers, body: padded(400_000) };
  const ask = () => fetch(`${http.url}/v1/completions`, next);
  await vi.waitFor(async () => expect((await ask()).status).toBe(200), patience);
});

it('a deadline that passes while a body comes is told then', async () => {
  await using http = await start({ timeouts: { firstTokenMs: 50, tokenMs: 10_000, requestMs: 0 } });
  const socket = connect(http.port, '127.0.0.1').on('error', () => undefined);
  const answer = once(socket, 'data');
  socket.write(`${head}content-length: 9\r\n\r\n{`);
  expect(String((await answer)[0])).toMatch(/^HTTP\/1.1 504 /);
  socket.destroy();
});

it('a connection beyond the limit is closed, and costs the one that is idle the longest: the next one gets in', async () => {
  await using http = await start({ limits: { ...limits, maxConnections: 4 } });
  const ask = async (socket: Socket): Promise<void> => {
    const answered = new Promise((resolve) => socket.once('data', resolve).once('close', resolve));
    socket.write('GET /livez HTTP/1.1\r\nhost: x\r\n\r\n');
    await answered;
  };
  const open = async () => {
    const socket = connect(http.port, '127.0.0.1').on('error', () => undefined);
    await ask(socket);
    return socket;
  };
  const known = [await open(), await open(), await open(), await open()];
  const [first, sends] = known as [Socket, Socket];
  // A part of a request is something that is under way.
  sends.write('GET /livez');
  await ask(first);
  expect((await open()).closed).toBe(true);
  await vi.waitFor(() => expect(known[2]?.closed).toBe(true), patience);
  const next = await open();
  expect(next.closed).toBe(false);
  expect(known.map(({ closed }) => closed)).toEqual([false, false, true, false]);
  for (const socket of [...known, next]) socket.destroy();
});

it.each(['makes room', 'closes'])(
  'an answer on its way is sent to its end while a server %s',
  async (what) => {
    const parts = fakeParts({ limits: { ...limits, maxConnections: 1 } });
    const server = await startHttp({ ...parts, address: '127.0.0.1:0' });
    const [card] = parts.serving.models('');
    parts.serving.models = () => Array.from({ length: 100_000 }, () => card as NonNullable<typeof card>);
    const socket = connect(server.port, '127.0.0.1').on('error', () => undefined);
    const came: Buffer[] = [];
    socket.on('data', (part: Buffer) => void came.push(part));
    socket.write('GET /v1/models HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n');
    await once(socket, 'data');
    socket.pause();
    const closed = what === 'closes' ? server.close(20_000) : undefined;
    if (closed === undefined)
      await once(
        connect(server.port, '127.0.0.1')
          .on('error', () => undefined)
          .resume(),
        'close',
      );
    socket.resume();
    await vi.waitFor(() => expect(socket.closed).toBe(true), patience);
    expect(Buffer.concat(came).toString().endsWith(']}')).toBe(true);
    await (closed ?? server.close(100));
  },
);
