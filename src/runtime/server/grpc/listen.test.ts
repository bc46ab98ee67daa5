import { once } from 'node:events';
import { connect as connectHttp2 } from 'node:http2';
import { connect } from 'node:net';
import { expect, it, vi } from 'vitest';
import { whileWeStandStill } from '../../../../test/support/stand-still.ts';
import { GenerateRequest } from '../../../gen/adaptlet/inference/v1/inference.ts';
import { systemClock } from '../../../time/clock.ts';
import { Penalties } from '../penalties.ts';
import { startFakeGrpc, unaryCall } from '../testing/grpc-client.ts';
import { startGrpc } from './server.ts';

const generate = '/adaptlet.inference.v1.Inference/Generate';
const limits = { maxConnections: 2, idleMs: 120_000, bodyMs: 60_000, bodyBytes: 8 << 20 };

/** A connection that says nothing. */
const openTo = async (address: string) => {
  const [host = '', port] = address.split(':');
  const socket = connect(Number(port), host);
  socket.on('error', () => undefined).resume();
  await once(socket, 'connect');
  return socket;
};

it('one connection more than there may be is closed, and those that are there go on', async () => {
  await using fake = await startFakeGrpc({ limits });
  const sockets = [await openTo(fake.address), await openTo(fake.address), await openTo(fake.address)];
  await vi.waitFor(() => expect(sockets.map(({ closed }) => closed)).toEqual([false, false, true]));
  sockets[0]?.destroy();
  const ask = () => unaryCall((callback) => fake.oip.serverLive({}, callback));
  await vi.waitFor(ask, { timeout: 20_000, interval: 100 });
  for (const socket of sockets) socket.destroy();
});

it('a call that its client reset before anybody looked is not begun', async () => {
  await using fake = await startFakeGrpc();
  const after = vi.spyOn(fake.parts.clock, 'after');
  const reset = `
    const session = require('node:http2').connect('http://' + data.address);
    session.on('connect', () => {
      let closed = 0;
      for (let i = 0; i < data.many; i += 1) {
        const stream = session.request({
          ':method': 'POST', ':path': '/adaptlet.inference.v1.Inference/Generate', 'content-type': 'application/grpc', te: 'trailers',
        });
        stream.on('error', () => undefined).on('close', () => { closed += 1; if (closed === data.many) done(); });
        stream.close(8);
      }
    });`;
  await whileWeStandStill(reset, { many: 50, address: fake.address });
  await unaryCall((callback) => fake.oip.serverLive({}, callback));
  // Each call that begins waits for its message.
  expect(after.mock.calls.length).toBeLessThan(10);
  expect(after).toHaveBeenCalled();
});

/** Frames of HTTP/2 as they are on the wire. */
const frame = (type: number, flags: number, stream: number, payload: Uint8Array): Buffer => {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
};
const named = (text: string): Buffer => Buffer.concat([Buffer.from([text.length]), Buffer.from(text)]);
/** POST, http, and what has no number of HPACK. */
const askHeaders = Buffer.concat([
  Buffer.concat([Buffer.from([0x83, 0x86, 0x01]), named('x'), Buffer.from([0x04]), named(generate)]),
  Buffer.concat([Buffer.from([0x0f, 0x10]), named('application/grpc')]),
  Buffer.concat([Buffer.from([0x00]), named('te'), named('trailers')]),
]);
const begin = Buffer.concat([
  Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
  frame(4, 0, 0, Buffer.alloc(0)),
]);
const openedAndReset = (many: number, before = 0): Buffer =>
  Buffer.concat(
    Array.from({ length: many }, (_, i) => [
      frame(1, 4, 2 * (before + i) + 1, askHeaders),
      frame(3, 0, 2 * (before + i) + 1, Buffer.from([0, 0, 0, 8])),
    ]).flat(),
  );

/** Its timers are those of the machine; for durations time passes where a test says so. */
const stillClock = () => {
  const time = { ms: 0, clock: { ...systemClock, monotonic: () => time.ms } };
  return time;
};

it.each([
  [200, false],
  [300, true],
])(
  'of a connection that resets %i streams as it opens them none begins, and it is over: %s',
  async (many, over) => {
    const time = stillClock();
    await using fake = await startFakeGrpc({ clock: time.clock });
    const after = vi.spyOn(fake.parts.clock, 'after');
    const socket = await openTo(fake.address);
    socket.write(Buffer.concat([begin, openedAndReset(many)]));
    if (over) await vi.waitFor(() => expect(socket.closed).toBe(true), { timeout: 20_000 });
    else await unaryCall((callback) => fake.oip.serverLive({}, callback));
    expect(after.mock.calls.length).toBeLessThan(10);
    expect(socket.closed).toBe(over);
    // The next connection waits for that one.
    time.ms += 50;
    await unaryCall((callback) => fake.oip.serverLive({}, callback));
    socket.destroy();
  },
);

it('calls that came and were reset while we stood still cost a gateway nothing; the same at once do', async () => {
  const time = stillClock();
  await using fake = await startFakeGrpc({ clock: time.clock });
  const socket = await openTo(fake.address);
  let resets = 0;
  const write = async (many: number): Promise<void> => {
    socket.write(Buffer.concat([...(resets === 0 ? [begin] : []), openedAndReset(many, resets)]));
    resets += many;
    await new Promise((resolve) => setTimeout(resolve, 50));
    await unaryCall((callback) => fake.oip.serverLive({}, callback));
  };
  await write(200);
  // From here on Node holds the client to what it was told.
  socket.write(frame(4, 1, 0, Buffer.alloc(0)));
  // 400 calls a second, and a stall of one.
  time.ms += 1000;
  await write(400);
  expect(socket.closed).toBe(false);
  await write(300);
  await write(300);
  await vi.waitFor(() => expect(socket.closed).toBe(true), { timeout: 20_000 });
});

it('a gateway whose clients all leave at once keeps its connection, more than once', async () => {
  await using fake = await startFakeGrpc();
  const { serving } = fake.parts;
  const { promise: held, resolve: open } = Promise.withResolvers<void>();
  serving.gate = () => held;
  const session = connectHttp2(`http://${fake.address}`);
  await once(session, 'remoteSettings');
  expect(session.remoteSettings.maxConcurrentStreams).toBe(256);
  const message = GenerateRequest.encode(
    GenerateRequest.create({ model: 'sql', prompt: { $case: 'text', value: 'abc' } }),
  ).finish();
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  for (let round = 1; round <= 3; round += 1) {
    const streams = Array.from({ length: 256 }, () => {
      const stream = session.request({
        ':method': 'POST',
        ':path': generate,
        'content-type': 'application/grpc',
        te: 'trailers',
      });
      stream.on('error', () => undefined).end(Buffer.concat([head, message]));
      return stream;
    });
    await vi.waitFor(() => expect(serving.calls).toHaveLength(256 * round), { timeout: 20_000 });
    for (const stream of streams) stream.close(8);
    await vi.waitFor(() => expect(serving.calls.every(({ signal }) => signal.aborted)).toBe(true), {
      timeout: 20_000,
    });
  }
  expect(session.closed).toBe(false);
  open();
  session.destroy();
});

it('of a connection that waits since another one was ended nothing is read before its turn', async () => {
  const time = stillClock();
  await using fake = await startFakeGrpc({ clock: time.clock });
  const admit = vi.spyOn(Penalties.prototype, 'admit');
  const ended = await openTo(fake.address);
  ended.write(Buffer.concat([begin, openedAndReset(300)]));
  await vi.waitFor(() => expect(ended.closed).toBe(true), { timeout: 20_000 });
  const waits = await openTo(fake.address);
  await new Promise((resolve) => waits.write(begin, resolve));
  await vi.waitFor(() => expect(admit).toHaveBeenCalledTimes(2));
  const [socket] = admit.mock.calls[1] ?? [];
  for (let turn = 0; turn < 20; turn += 1) await new Promise(setImmediate);
  expect(socket?.bytesRead).toBe(0);
  time.ms += 50;
  await vi.waitFor(() => expect(socket?.bytesRead).toBe(begin.length), { timeout: 20_000 });
  waits.destroy();
});

it('a server that closes ends connections that wait: they would begin when others are told to leave', async () => {
  const time = stillClock();
  const fake = await startFakeGrpc({ clock: time.clock });
  const admit = vi.spyOn(Penalties.prototype, 'admit');
  const ended = await openTo(fake.address);
  ended.write(Buffer.concat([begin, openedAndReset(300)]));
  await vi.waitFor(() => expect(ended.closed).toBe(true), { timeout: 20_000 });
  admit.mockClear();
  const waits = await openTo(fake.address);
  await vi.waitFor(() => expect(admit).toHaveBeenCalled());
  const closed = fake.server.close(60_000);
  await vi.waitFor(() => expect(waits.closed).toBe(true), { timeout: 20_000 });
  await closed;
});

it('a server that closes ends connections that never became HTTP/2', async () => {
  const fake = await startFakeGrpc();
  const socket = await openTo(fake.address);
  await fake.server.close(50);
  await vi.waitFor(() => expect(socket.closed).toBe(true));
});

it('an address that is taken is an error of the configuration', async () => {
  await using fake = await startFakeGrpc();
  await expect(startGrpc({ ...fake.parts, address: fake.address })).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
  });
});
