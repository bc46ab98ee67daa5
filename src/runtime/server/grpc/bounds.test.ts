import { once } from 'node:events';
import { constants, type Settings } from 'node:http2';
import { describe, expect, it, vi } from 'vitest';
import { systemClock } from '../../../time/clock.ts';
import { FakeClock } from '../../../time/fake-clock.ts';
import { startFakeGrpc, unaryCall } from '../testing/grpc-client.ts';
import { endOf, messageOf, rawCall, rawSession } from '../testing/raw-call.ts';

const limits = { maxConnections: 100, idleMs: 120_000, bodyMs: 60_000, bodyBytes: 8 << 20 };
const generate = '/adaptlet.inference.v1.Inference/Generate';
const oip = '/inference.GRPCInferenceService/';

/** A call on a connection of its own. */
const callOf = (
  address: string,
  path: string,
  settings: Settings = {},
  more: Readonly<Record<string, string>> = {},
) => {
  const session = rawSession(address, settings);
  const stream = rawCall(session, path, more);
  return { stream, end: endOf(stream), [Symbol.dispose]: () => session.destroy() };
};

describe('a message that does not come', () => {
  it('ends its call, which is told so, and its stream, so that nothing of it stays', async () => {
    await using fake = await startFakeGrpc({ limits: { ...limits, bodyMs: 50 } });
    using call = callOf(fake.address, generate);
    call.stream.write(messageOf(1000, 500));
    expect(await call.end).toEqual({ status: '4', code: constants.NGHTTP2_NO_ERROR });
    expect(fake.parts.serving.calls).toEqual([]);
  });

  it('is one of which something came: a stream of requests may be opened long before', async () => {
    const clock = new FakeClock();
    await using fake = await startFakeGrpc({ limits, clock });
    using call = callOf(fake.address, `${oip}ModelStreamInfer`);
    for (let i = 0; i < 3; i += 1) {
      // Another call is through meanwhile: so is the beginning of this one.
      await unaryCall((callback) => fake.oip.serverLive({}, callback));
      clock.advance(120_000);
    }
    await unaryCall((callback) => fake.oip.serverLive({}, callback));
    expect(call.stream.closed).toBe(false);
    call.stream.write(messageOf(1000, 500));
    await vi.waitFor(() => {
      clock.advance(60_000);
      expect(call.stream.closed).toBe(true);
    });
    expect((await call.end).status).toBe('4');
  });
});

it.each<[string, Buffer, Readonly<Record<string, string>>, string]>([
  ['that is whole, and not said to be all', messageOf(0), {}, '4'],
  ['that is longer than there may be', messageOf(8 << 20, 10), {}, '8'],
  ['that is late for the deadline of its client', messageOf(1000, 500), { 'grpc-timeout': '20m' }, '4'],
])('a call with a message %s ends with its stream', async (_, message, more, status) => {
  await using fake = await startFakeGrpc({ limits: { ...limits, bodyMs: 200 } });
  using call = callOf(fake.address, generate, {}, more);
  call.stream.write(message);
  expect(await call.end).toEqual({ status, code: constants.NGHTTP2_NO_ERROR });
  expect(fake.parts.serving.calls).toEqual([]);
});

it('a later message of a stream has to come as well', async () => {
  await using fake = await startFakeGrpc({ limits: { ...limits, bodyMs: 50 } });
  using call = callOf(fake.address, `${oip}ModelStreamInfer`);
  call.stream.write(messageOf(0));
  await once(call.stream, 'data');
  call.stream.write(messageOf(1000, 500));
  expect(await call.end).toEqual({ status: '4', code: constants.NGHTTP2_NO_ERROR });
});

it('an answer that nobody reads ends with its stream', async () => {
  await using fake = await startFakeGrpc({ slowClientMs: 50 });
  // No byte of an answer may be sent to it.
  using call = callOf(fake.address, `${oip}ServerLive`, { initialWindowSize: 0 });
  call.stream.end(messageOf(0));
  expect((await call.end).code).toBe(constants.NGHTTP2_CANCEL);
});

describe('a connection whose messages do not come to their end', () => {
  /** Sends calls one after another, until their connection is over; gives how many there were, and why it is over. */
  const send = async (address: string, calls: readonly ('whole' | 'left' | 'late' | 'reset')[]) => {
    const session = rawSession(address);
    let why: number | undefined;
    session.on('goaway', (code) => (why = code));
    let sent = 0;
    for (const call of calls) {
      if (session.closed || session.destroyed) break;
      sent += 1;
      const stream = rawCall(session, `${oip}ServerLive`, call === 'late' ? { 'grpc-timeout': '50m' } : {});
      const closed = new Promise((resolve) => stream.once('close', resolve));
      const message = call === 'left' ? messageOf(2 << 20, 1 << 20) : messageOf(1 << 20);
      if (call === 'whole') stream.end(message);
      else if (call === 'late') stream.write(message);
      // Without a word that this is all, which a close would say.
      else if (call === 'reset') stream.write(message, () => stream.destroy());
      else stream.write(message, () => stream.close(constants.NGHTTP2_CANCEL));
      await closed;
    }
    session.destroy();
    return { sent, why };
  };
  const left = (many: number) => Array.from({ length: many }, () => 'left' as const);

  it.each([
    ['', left(100)],
    [
      ', also where whole ones are never said to be all in their time',
      left(100).flatMap((call) => ['late' as const, call]),
    ],
    [
      ', also where whole ones are reset before they are said to be all',
      left(100).flatMap((call) => ['reset' as const, call]),
    ],
  ])('ends, and its client is told to be calmer%s', async (_, calls) => {
    // Time gives nothing back, however slow the machine is.
    const clock = { ...systemClock, monotonic: () => 0 };
    await using fake = await startFakeGrpc({ limits, clock });
    const { sent, why } = await send(fake.address, calls);
    expect(sent).toBeGreaterThanOrEqual(8);
    expect(sent).toBeLessThan(20);
    expect(why).toBe(constants.NGHTTP2_ENHANCE_YOUR_CALM);
    expect(await fake.parts.telemetry.metricsText()).toMatch(
      /adaptlet_ended_connections_total\{protocol="grpc",cause="messages"[^}]*\} 1/,
    );
  });

  it('goes on where it is that of a gateway, whose other clients have their answers on it, and is counted', async () => {
    const clock = { ...systemClock, monotonic: () => 0 };
    await using fake = await startFakeGrpc({ limits: { ...limits, isGateway: () => true }, clock });
    expect(await send(fake.address, left(20))).toEqual({ sent: 20, why: undefined });
    const metrics = await fake.parts.telemetry.metricsText();
    expect(metrics).toMatch(/^adaptlet_ended_streams_total\{cause="messages"[^}]*\} \d+$/m);
    expect(metrics).not.toMatch(/^adaptlet_ended_connections_total\{/m);
  });

  it('goes on where there was no room for them: its client was told to send them again', async () => {
    const clock = { ...systemClock, monotonic: () => 0 };
    const room = { ...limits, bodyBytes: 4_000_000 };
    await using fake = await startFakeGrpc({ limits: room, clock });
    const session = rawSession(fake.address);
    for (let i = 0; i < 3; i += 1) {
      const stream = rawCall(session, `${oip}ServerLive`);
      stream.write(messageOf(4 << 20, 4_100_000));
      expect((await endOf(stream)).status).toBe('8');
    }
    await new Promise(setImmediate);
    expect(await fake.parts.telemetry.metricsText()).not.toMatch(/^adaptlet_ended_connections_total\{/m);
    expect(session.destroyed).toBe(false);
    session.destroy();
  });

  it.each([
    ['ends', 'more than 8 MiB', 10 << 20, false],
    ['goes on', 'less', 3 << 20, true],
  ])('%s where there was no room for them beside %s of its own', async (_, _much, bodyBytes, goesOn) => {
    const clock = { ...systemClock, monotonic: () => 0 };
    await using fake = await startFakeGrpc({ limits: { ...limits, bodyBytes }, clock });
    const session = rawSession(fake.address);
    session.on('error', () => undefined);
    // Of each comes as much as will come: 1.9 MiB of 4.
    for (let i = 0; i < 12 && !session.destroyed; i += 1) {
      const stream = rawCall(session, `${oip}ServerLive`).on('error', () => undefined);
      stream.write(messageOf(4_000_000, 1_900_000));
      // Another call is through: so is what was sent before it.
      if (!session.destroyed)
        await endOf(
          rawCall(session, `${oip}ServerLive`)
            .on('error', () => undefined)
            .end(messageOf(0)),
        ).catch(() => undefined);
    }
    expect(session.destroyed).toBe(!goesOn);
    session.destroy();
  });

  it('goes on where as many come to theirs, and where few do not', async () => {
    await using fake = await startFakeGrpc({ limits });
    expect(await send(fake.address, left(7))).toEqual({ sent: 7, why: undefined });
    const both = Array.from({ length: 20 }, () => ['whole', 'left'] as const).flat();
    expect(await send(fake.address, both)).toEqual({ sent: 40, why: undefined });
  });
});
