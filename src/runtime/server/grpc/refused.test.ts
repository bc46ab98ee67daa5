import { once } from 'node:events';
import { type ClientHttp2Stream, constants } from 'node:http2';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import { systemClock } from '../../../time/clock.ts';
import { FakeClock } from '../../../time/fake-clock.ts';
import type { Identify } from '../../callers/caller.ts';
import { startFakeGrpc } from '../testing/grpc-client.ts';
import { openIdentify } from '../testing/identify.ts';
import { endOf, messageOf, rawCall, rawSession } from '../testing/raw-call.ts';

const generate = '/adaptlet.inference.v1.Inference/Generate';
const oip = '/inference.GRPCInferenceService/';
const streamInfer = `${oip}ModelStreamInfer`;
const limits = { maxConnections: 100, idleMs: 120_000, bodyMs: 60_000, bodyBytes: 2 << 20 };

/** More than a connection lets through before its server says that there may be more. */
const some = 100 << 10;
const unreadable = (): Buffer => messageOf(some).fill(0xff, 5);

/** 3 MiB that travel as 3 KiB. */
const packed = gzipSync(Buffer.alloc(3 << 20));
const compressed = Buffer.concat([Buffer.of(1, 0, 0, packed.length >> 8, packed.length & 255), packed]);

const gzip = { 'grpc-encoding': 'gzip' };

type Send = (stream: ClientHttp2Stream) => void;
const leave: Send = (stream) =>
  void stream.write(messageOf(2 * some, some), () => stream.close(constants.NGHTTP2_CANCEL));

const open = openIdentify();
const identify: Identify = async (presented) => {
  if (presented.headers.has('x-stranger')) throw new AdaptletError('UNAUTHENTICATED', 'who is it?');
  return open(presented);
};
const stranger = { 'x-stranger': 'yes' };

it.each<[string, Readonly<Record<string, string>>, string, Send, string | undefined]>([
  ['that are longer than there may be', {}, generate, (call) => call.end(messageOf(5 << 20)), '8'],
  ['for which there is no room', {}, generate, (call) => call.end(messageOf(3 << 20)), '8'],
  ['that cannot be read', {}, generate, (call) => call.end(unreadable()), '13'],
  ['that are compressed', gzip, generate, (call) => call.end(compressed), '12'],
  ['that are compressed, and long', gzip, generate, (call) => call.end(messageOf(1 << 20)), '12'],
  ['of strangers', stranger, generate, (call) => call.end(messageOf(some)), '16'],
  ['whose client leaves half way', {}, generate, leave, undefined],
  ['of no method', {}, `${oip}NoMethod`, (call) => call.end(messageOf(5 << 20)), '12'],
  ['of streams, longer than there may be', {}, streamInfer, (call) => call.end(messageOf(5 << 20)), '8'],
  ['of streams, for which there is no room', {}, streamInfer, (call) => call.end(messageOf(3 << 20)), '8'],
  ['of streams, that cannot be read', {}, streamInfer, (call) => call.end(unreadable()), '13'],
  // Each has an answer of its own, and the stream goes on.
  ['of streams of strangers', stranger, streamInfer, (call) => call.end(messageOf(some)), '0'],
  ['of streams whose client leaves half way', {}, streamInfer, leave, undefined],
])('behind fifty messages %s a connection has its answers', async (_, headers, path, send, status) => {
  await using fake = await startFakeGrpc({ limits, identify });
  const session = rawSession(fake.address);
  const ask = async (): Promise<unknown> => {
    const call = rawCall(session, path, headers);
    send(call);
    return (await endOf(call)).status;
  };
  for (let round = 0; round < 5; round += 1)
    expect(await Promise.all(Array.from({ length: 10 }, ask))).toEqual(Array(10).fill(status));
  const good = rawCall(session, `${oip}ServerLive`);
  good.end(messageOf(1 << 20));
  expect((await endOf(good)).status).toBe('0');
  session.destroy();
});

describe('of a stream of requests that is refused nothing more is read', () => {
  it.each<[string, Readonly<Record<string, string>>, Buffer, string]>([
    ['for a message that is too long', {}, messageOf(8 << 20, 10), '8'],
    ['for one that cannot be read', {}, unreadable(), '13'],
    ['for one that is late', { 'grpc-timeout': '20m' }, messageOf(1000, 500), '4'],
  ])('%s', async (_, headers, message, status) => {
    await using fake = await startFakeGrpc({ limits });
    const session = rawSession(fake.address);
    const call = rawCall(session, streamInfer, headers);
    call.write(message);
    expect(await endOf(call)).toEqual({ status, code: constants.NGHTTP2_NO_ERROR });
    session.destroy();
  });
});

describe('a call that would send compressed messages', () => {
  it('ends, whatever its client goes on to send', async () => {
    const clock = new FakeClock();
    await using fake = await startFakeGrpc({ limits, clock });
    const session = rawSession(fake.address);
    const call = rawCall(session, generate, gzip);
    const answered = once(call, 'response');
    call.write(messageOf(some, 10));
    await answered;
    const drip = setInterval(() => void call.write('x'), 5);
    clock.advance(5000);
    expect(await endOf(call)).toMatchObject({ code: constants.NGHTTP2_NO_ERROR });
    clearInterval(drip);
    session.destroy();
  });

  it('keeps its connection, however often it comes', async () => {
    await using fake = await startFakeGrpc({ limits });
    const session = rawSession(fake.address);
    for (let round = 0; round < 20; round += 1) {
      const ends = Array.from({ length: 100 }, () => {
        const call = rawCall(session, generate, gzip);
        call.end(compressed);
        return endOf(call);
      });
      for (const { status } of await Promise.all(ends)) expect(status).toBe('12');
    }
    session.destroy();
  });

  it('is counted, and is no time of a request', async () => {
    await using fake = await startFakeGrpc({ limits });
    const session = rawSession(fake.address);
    const call = rawCall(session, generate, gzip);
    call.end(compressed);
    await endOf(call);
    session.destroy();
    const counted = /^adaptlet_requests_total\{[^}]*protocol="grpc",code="BODY_ENCODED"[^}]*\} 1$/m;
    const metrics = await fake.parts.telemetry.metricsText();
    expect(metrics).toMatch(counted);
    expect(metrics).not.toMatch(/^adaptlet_request_duration_seconds_count\{[^}]*BODY_ENCODED/m);
  });

  it('costs its connection what it sends', async () => {
    const clock = { ...systemClock, monotonic: () => 0 };
    await using fake = await startFakeGrpc({ limits, clock });
    const session = rawSession(fake.address);
    let calls = 0;
    for (; !session.closed && !session.destroyed && calls < 1000; calls += 1) {
      const call = rawCall(session, generate, gzip);
      call.end(messageOf(some));
      await endOf(call);
    }
    session.destroy();
    // Of each 64 KiB come at least, and 8 MiB may.
    expect(calls).toBeLessThan(140);
  });
});

it('messages that come whole and cannot be read end no connection', async () => {
  await using fake = await startFakeGrpc({ limits });
  const session = rawSession(fake.address);
  for (let i = 0; i < 12; i += 1) {
    const call = rawCall(session, generate);
    call.end(messageOf(1 << 20).fill(0xff, 5));
    expect((await endOf(call)).status).toBe('13');
  }
  session.destroy();
});
