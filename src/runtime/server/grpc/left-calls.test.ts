import { connect, constants, type Http2Session } from 'node:http2';
import { createConnection } from 'node:net';
import { afterEach, expect, it, vi } from 'vitest';
import { GenerateRequest } from '../../../gen/adaptlet/inference/v1/inference.ts';
import { FakeClock } from '../../../time/fake-clock.ts';
import { Penalties } from '../penalties.ts';
import { startFakeGrpc, unaryCall } from '../testing/grpc-client.ts';
import { endOf, messageOf, rawCall, rawSession } from '../testing/raw-call.ts';
import { LeftCalls } from './left-calls.ts';

const generate = '/adaptlet.inference.v1.Inference/Generate';
const request = GenerateRequest.encode(
  GenerateRequest.fromPartial({ model: 'upper', prompt: { $case: 'text', value: 'x' } }),
).finish();
const message = Buffer.concat([messageOf(request.length, 0), request]);
const live = '/inference.GRPCInferenceService/ServerLive';

const start = async (gateway = false) => {
  const clock = new FakeClock();
  const fake = await startFakeGrpc({
    clock,
    limits: {
      maxConnections: 100,
      idleMs: 120_000,
      bodyMs: 60_000,
      bodyBytes: 8 << 20,
      isGateway: () => gateway,
    },
  });
  const { serving } = fake.parts;
  // Who asks waits for a place.
  serving.admits = false;
  const left = vi.spyOn(Penalties.prototype, 'left');
  const session = rawSession(fake.address);
  const isLive = () => unaryCall((callback) => fake.oip.serverLive({}, callback));
  // A connection that is there.
  await isLive();
  return {
    clock,
    isLive,
    left,
    serving,
    address: fake.address,
    session,
    /** Begins calls, and leaves them so much later. */
    async leave(count: number, afterMs = 0) {
      const streams = Array.from({ length: count }, () => rawCall(session, generate).end(message));
      await vi.waitFor(() => expect(serving.waiting).toBe(count));
      clock.advance(afterMs);
      for (const stream of streams) stream.close(constants.NGHTTP2_CANCEL);
      await vi.waitFor(() => expect(left).toHaveBeenCalledTimes(count));
    },
    /** A call of the same connection, or of another one. */
    ask(by = session) {
      const stream = rawCall(by, live);
      stream.end(messageOf(0));
      const state = { end: undefined as unknown };
      void endOf(stream).then(({ status }) => (state.end = status));
      return state;
    },
    async [Symbol.asyncDispose]() {
      session.destroy();
      await fake[Symbol.asyncDispose]();
    },
  };
};

afterEach(() => {
  vi.restoreAllMocks();
});

/** Others are answered meanwhile, several turns of the event loop. */
const aWhile = async (isLive: () => Promise<unknown>): Promise<void> => {
  for (let turn = 0; turn < 5; turn += 1) await isLive();
};

it('calls of a connection whose client left more than it may wait, and those of others do not', async () => {
  await using test = await start();
  await test.leave(60);
  const asked = test.ask();
  await aWhile(test.isLive);
  test.clock.advance(999);
  await aWhile(test.isLive);
  expect(asked.end).toBeUndefined();
  test.clock.advance(1);
  await vi.waitFor(() => expect(asked.end).toBe('0'));
  // What it did is made up for.
  test.clock.advance(10);
  const next = test.ask();
  await vi.waitFor(() => expect(next.end).toBe('0'));
});

it('calls that wait begin one after another', async () => {
  await using test = await start();
  await test.leave(60);
  const first = test.ask();
  await aWhile(test.isLive);
  const second = test.ask();
  await aWhile(test.isLive);
  test.clock.advance(1000);
  await vi.waitFor(() => expect(first.end).toBe('0'));
  await aWhile(test.isLive);
  expect(second.end).toBeUndefined();
  test.clock.advance(10);
  await vi.waitFor(() => expect(second.end).toBe('0'));
});

it('of all connections 256 calls wait at most: what comes of their messages is counted nowhere meanwhile', async () => {
  const clock = new FakeClock();
  const calls = new LeftCalls(clock, { left: () => true } as unknown as Penalties);
  const session = { destroyed: false } as Http2Session;
  calls.left(session, '192.0.2.1', 1);
  const begin = vi.fn();
  for (let call = 0; call < 256; call += 1) calls.admit(session, begin);
  await new Promise((resolve) => setTimeout(resolve, 10));
  expect(begin).not.toHaveBeenCalled();
  const oneMore = Promise.withResolvers<void>();
  calls.admit(session, oneMore.resolve);
  await oneMore.promise;
  clock.advance(2000);
  expect(begin).toHaveBeenCalledTimes(256);
});

it.each([
  [
    'a stream of requests, whose client ends it as it likes',
    '/inference.GRPCInferenceService/ModelStreamInfer',
    undefined,
  ],
  ['a call that is refused for its message', generate, messageOf(8 << 20, 10)],
  ['a call with a message that cannot be read', generate, messageOf(10, 10)],
])('%s does not count', async (_, path, sent) => {
  await using test = await start();
  const streams = Array.from({ length: 60 }, () => rawCall(test.session, path));
  const ends = streams.map(endOf);
  for (const stream of streams) {
    if (sent === undefined) stream.write(messageOf(0));
    else stream.end(sent);
  }
  await aWhile(test.isLive);
  if (sent === undefined) for (const stream of streams) stream.close(constants.NGHTTP2_CANCEL);
  await Promise.all(ends);
  await aWhile(test.isLive);
  expect(test.left).not.toHaveBeenCalled();
});

it('no call waits for more than 2 s, however many were left', async () => {
  await using test = await start();
  await test.leave(200);
  const asked = test.ask();
  await aWhile(test.isLive);
  test.clock.advance(2000);
  await vi.waitFor(() => expect(asked.end).toBe('0'));
});

it.each<[string, Parameters<typeof start>, [count: number, afterMs?: number]]>([
  ['some calls', [], [40]],
  ['calls that went on for more than a second', [], [200, 1001]],
  ['calls over a gateway', [true], [200]],
])('who leaves %s does not wait', async (_, options, left) => {
  await using test = await start(...options);
  await test.leave(...left);
  const asked = test.ask();
  await vi.waitFor(() => expect(asked.end).toBe('0'));
});

it('one that is reset while it waits never begins', async () => {
  await using test = await start();
  await test.leave(60);
  const stream = rawCall(test.session, generate).end(message);
  await aWhile(test.isLive);
  stream.close(constants.NGHTTP2_CANCEL);
  await aWhile(test.isLive);
  test.clock.advance(1000);
  await aWhile(test.isLive);
  // Who leaves a call that began is told of.
  expect(test.left).toHaveBeenCalledTimes(60);
});

it('a connection that ends with its calls is one client that left', async () => {
  await using test = await start();
  const [host = '', port] = test.address.split(':');
  const socket = createConnection(Number(port), host);
  const session = connect(`http://${test.address}`, { createConnection: () => socket });
  session.on('error', () => undefined);
  for (let call = 0; call < 200; call += 1) rawCall(session, generate).end(message);
  await vi.waitFor(() => expect(test.serving.waiting).toBe(200));
  socket.destroy();
  await vi.waitFor(() => expect(test.serving.waiting).toBe(0));
  expect(test.left).toHaveBeenCalledTimes(1);
  const next = rawSession(test.address);
  const asked = test.ask(next);
  await vi.waitFor(() => expect(asked.end).toBe('0'));
  next.destroy();
});
