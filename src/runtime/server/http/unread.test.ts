import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { connect as connectTls, createServer as createTlsServer } from 'node:tls';
import { describe, expect, it, vi } from 'vitest';
import { silentLog } from '../../../telemetry/log.fixture.ts';
import { FakeClock } from '../../../time/fake-clock.ts';
import type { ModelCard } from '../../serving/serving.ts';
import { fakeParts } from '../testing/parts.ts';
import { certificateFor, newAuthority } from '../testing/secure-servers.ts';
import { startHttp } from './server.ts';
import { takenBytes, watchReader } from './unread.ts';

const mib = 1 << 20;
/** Machines are busy. */
const patience = { timeout: 20_000 };

/** Seconds until a reader of 4 MiB has all of it, or loses it. What it reads is seen in steps of `step` bytes, as a kernel takes them. */
const read = (bytesPerSecond: number, { step = 1, stopsAfter = Infinity } = {}) => {
  const clock = new FakeClock();
  let seconds = 0;
  const taken = (): number => {
    const bytes = bytesPerSecond * Math.min(seconds, stopsAfter);
    return Math.min(4 * mib, Math.floor(bytes / step) * step);
  };
  let end: 'lost' | undefined;
  const stop = watchReader(clock, taken, () => {
    end = 'lost';
  });
  while (taken() < 4 * mib && end === undefined) {
    seconds += 1;
    clock.advance(1000);
  }
  stop();
  clock.advance(3_600_000);
  return { end: end ?? 'has it', seconds };
};

describe('who reads an answer that is all there', () => {
  it.each([
    ['at 32 KiB a second', 32, {}, { end: 'has it', seconds: 128 }],
    ['at 32 KiB a second from a kernel that takes much at once', 32, { step: 1.25 * mib }, { end: 'has it' }],
    ['at 9 KiB a second', 9, {}, { end: 'has it', seconds: 456 }],
    ['at 7 KiB a second', 7, {}, { end: 'lost', seconds: 60 }],
    ['not at all', 0, {}, { end: 'lost', seconds: 60 }],
    ['at 32 KiB a second, and then no more', 32, { stopsAfter: 70 }, { end: 'lost', seconds: 120 }],
  ])('%s keeps it, or loses it', (_, kib, how, expected) => {
    expect(read(kib << 10, how)).toMatchObject(expected);
  });
});

describe('of one write Node tells how much a reader took', () => {
  const observe = async (
    server: Server,
    event: 'connection' | 'secureConnection',
    open: (port: number) => Socket,
  ): Promise<void> => {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as { readonly port: number };
    const accepted = once(server, event);
    const reader = open(port).pause();
    const [writer] = (await accepted) as [Socket];
    writer.write(Buffer.alloc(32 * mib));
    writer.write('and more');
    const before = takenBytes(writer);
    expect(before).toBeLessThan(24 * mib);
    let came = 0;
    reader.on('data', (part: Buffer) => {
      came += part.length;
      if (came > 4 * mib) reader.pause();
    });
    reader.resume();
    await vi.waitFor(() => expect(takenBytes(writer)).toBeGreaterThan(before + mib), patience);
    // The write is still the same one.
    expect(writer.writableLength).toBeGreaterThanOrEqual(32 * mib);
    reader.removeAllListeners('data').resume();
    await vi.waitFor(() => expect(writer.writableLength).toBe(0), patience);
    expect(takenBytes(writer)).toBeGreaterThan(32 * mib);
    reader.destroy();
    writer.destroy();
    server.close();
  };

  it('without TLS', async () => {
    await observe(createServer(), 'connection', (port) => connect(port, '127.0.0.1'));
  });

  it('with TLS', async () => {
    const { certificate: cert, key } = await certificateFor(await newAuthority('servers'), 'reader');
    await observe(createTlsServer({ cert, key }), 'secureConnection', (port) =>
      connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false }),
    );
  });
});

/** A server whose list of models has 48 MiB, more than the sockets of both sides hold. */
const start = async (overrides: Parameters<typeof fakeParts>[0]) => {
  const parts = fakeParts(overrides);
  const [card] = parts.serving.models('');
  const long = { ...(card as ModelCard), id: 'x'.repeat(48 << 10) };
  parts.serving.models = () => Array.from({ length: 1024 }, () => long);
  const server = await startHttp({ ...parts, address: '127.0.0.1:0' });
  return { port: server.port, [Symbol.asyncDispose]: () => server.close(100) };
};
const head = 'HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n';

it('an answer that nobody reads ends with its connection', async () => {
  const clock = new FakeClock();
  const said: string[] = [];
  const log = { ...silentLog, debug: (_keys: object, message: string) => void said.push(message) };
  await using http = await start({ clock, log });
  const socket = connect(http.port, '127.0.0.1');
  socket.on('error', () => undefined).pause();
  socket.write(`GET /v1/models ${head}`);
  await vi.waitFor(() => {
    clock.advance(3_600_000);
    expect(said).toContain('a client did not read its answer');
  }, patience);
  socket.destroy();
});

it('an answer whose reader goes on comes to its end, however long that takes', async () => {
  const clock = new FakeClock();
  await using http = await start({ clock, slowClientMs: 0 });
  const socket = connect(http.port, '127.0.0.1');
  let [came, until, end] = [0, 0, ''];
  socket.on('data', (part: Buffer) => {
    came += part.length;
    end = part.toString('latin1').slice(-2);
    if (came >= until) socket.pause();
  });
  socket.write(`GET /v1/models ${head}`);
  while (!socket.closed) {
    // 2.5 MiB a minute are 43 KiB a second.
    until = came + 2.5 * mib;
    socket.resume();
    await vi.waitFor(() => expect(socket.isPaused() || socket.closed).toBe(true), patience);
    // Behind another answer the server has written what there is room for.
    await fetch(`http://127.0.0.1:${http.port}/livez`);
    clock.advance(60_000);
  }
  expect(came).toBeGreaterThan(48 * mib);
  expect(end).toBe(']}');
});
