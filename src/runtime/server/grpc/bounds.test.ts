import { once } from 'node:events';
import { connect, constants, type Settings } from 'node:http2';
import { describe, expect, it, vi } from 'vitest';
import { FakeClock } from '../../../time/fake-clock.ts';
import { startFakeGrpc, unaryCall } from '../testing/grpc-client.ts';

const limits = { maxConnections: 100, idleMs: 120_000, bodyMs: 60_000, bodyBytes: 8 << 20 };
const generate = '/adaptlet.inference.v1.Inference/Generate';
const oip = '/inference.GRPCInferenceService/';

/** A message of gRPC of which `sent` of `bytes` bytes are there. */
const messageOf = (bytes: number, sent = bytes): Buffer => {
  const message = Buffer.alloc(5 + sent);
  message.writeUInt32BE(bytes, 1);
  return message;
};

/** A call that leaves its side open, by a client that is no client of gRPC. */
const callOf = (
  address: string,
  path: string,
  settings: Settings = {},
  more: Readonly<Record<string, string>> = {},
) => {
  const session = connect(`http://${address}`, { settings });
  session.on('error', () => undefined);
  const stream = session.request({
    [constants.HTTP2_HEADER_METHOD]: 'POST',
    [constants.HTTP2_HEADER_PATH]: path,
    [constants.HTTP2_HEADER_CONTENT_TYPE]: 'application/grpc',
    te: 'trailers',
    ...more,
  });
  stream.on('error', () => undefined).resume();
  const status = new Promise<unknown>((resolve) => {
    stream.on('response', (headers) => resolve(headers['grpc-status']));
    stream.on('trailers', (headers) => resolve(headers['grpc-status']));
  });
  const closed = new Promise<number | undefined>((resolve) =>
    stream.once('close', () => resolve(stream.rstCode)),
  );
  return { stream, status, closed, [Symbol.dispose]: () => session.destroy() };
};

describe('a message that does not come', () => {
  it('ends its call, which is told so, and its stream, so that nothing of it stays', async () => {
    await using fake = await startFakeGrpc({ limits: { ...limits, bodyMs: 50 } });
    using call = callOf(fake.address, generate);
    call.stream.write(messageOf(1000, 500));
    expect(await call.status).toBe('4');
    expect(await call.closed).toBe(constants.NGHTTP2_NO_ERROR);
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
    expect(await call.status).toBe('4');
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
  expect(await call.status).toBe(status);
  expect(await call.closed).toBe(constants.NGHTTP2_NO_ERROR);
  expect(fake.parts.serving.calls).toEqual([]);
});

it('a later message of a stream has to come as well', async () => {
  await using fake = await startFakeGrpc({ limits: { ...limits, bodyMs: 50 }, slowClientMs: 50 });
  using call = callOf(fake.address, `${oip}ModelStreamInfer`);
  call.stream.write(messageOf(0));
  await once(call.stream, 'data');
  call.stream.write(messageOf(1000, 500));
  expect(await call.closed).toBe(constants.NGHTTP2_CANCEL);
});

it('an answer that nobody reads ends with its stream', async () => {
  await using fake = await startFakeGrpc({ slowClientMs: 50 });
  // No byte of an answer may be sent to it.
  using call = callOf(fake.address, `${oip}ServerLive`, { initialWindowSize: 0 });
  call.stream.end(messageOf(0));
  expect(await call.closed).toBe(constants.NGHTTP2_CANCEL);
});
