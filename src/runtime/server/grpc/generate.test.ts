import { connect } from 'node:http2';
import { type ClientReadableStream, Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { expect, it, vi } from 'vitest';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import {
  FinishReason,
  GenerateRequest,
  type GenerateResponse,
} from '../../../gen/adaptlet/inference/v1/inference.ts';
import { FakeClock } from '../../../time/fake-clock.ts';
import { fakeDigest } from '../testing/fake-serving.ts';
import { startFakeGrpc } from '../testing/grpc-client.ts';

const request = (over: Parameters<typeof GenerateRequest.fromPartial>[0] = {}) =>
  GenerateRequest.fromPartial({ model: 'assistant', prompt: { $case: 'text', value: 'abc' }, ...over });

const read = async (stream: ClientReadableStream<GenerateResponse>) => {
  const messages: GenerateResponse[] = [];
  for await (const message of stream) messages.push(message as GenerateResponse);
  return messages;
};

/** The error that ends a stream. */
const failureOf = (stream: ClientReadableStream<GenerateResponse>) =>
  read(stream).then(
    () => expect.fail('the stream did not fail'),
    (error: unknown) => error as ServiceError,
  );

const texts = (messages: GenerateResponse[]) =>
  messages.map(({ event }) => (event?.$case === 'tokens' ? event.value.text : '')).join('');

it('an answer streams its tokens and ends with what they cost; first and last tell what served', async () => {
  await using fake = await startFakeGrpc();
  const stream = fake.inference.generate(request());
  const metadata = new Promise<Metadata>((resolve) => {
    stream.once('metadata', resolve);
  });
  const messages = await read(stream);
  expect(texts(messages)).toBe('ABC');
  const served = {
    adapter: 'upper',
    digest: fakeDigest('a'),
    rollout: 'sql',
    arm: 'canary',
    rule: 'überall',
  };
  expect(messages.map((m) => m.served)).toEqual([served, undefined, undefined, served]);
  expect(messages.at(-1)?.event).toEqual({
    $case: 'done',
    value: {
      id: 'r1',
      finishReason: FinishReason.STOP,
      usage: { promptTokens: 3, completionTokens: 3, cachedTokens: 0 },
      timing: { queueMs: 1, prefillMs: 2, decodeMs: 3, switchMs: 0.5 },
    },
  });
  expect((await metadata).getMap()).toMatchObject({
    'x-adaptlet-arm': 'canary',
    'x-adaptlet-rule': '%C3%BCberall',
  });
});

it('every field of the request reaches the generation', async () => {
  await using fake = await startFakeGrpc();
  const metadata = new Metadata();
  metadata.set('x-adaptlet-tenant', 'acme');
  metadata.set('x-adaptlet-priority', '-5');
  metadata.set('x-department', 'medical');
  const stream = fake.inference.generate(
    request({
      namespace: 'team-a',
      prompt: { $case: 'chat', value: { messages: [{ role: 'user', content: 'hi' }] } },
      maxTokens: 5,
      sampling: {
        temperature: 0.7,
        topP: 0.9,
        topK: 3,
        seed: 11n,
        minP: 0.05,
        repetitionPenalty: 1.1,
        frequencyPenalty: 0.2,
        presencePenalty: -0.3,
        logitBias: { 5: 1.5 },
      },
      stop: ['x'],
      stopTokenIds: [9],
      minTokens: 4,
      ignoreEos: true,
      badWords: ['red'],
      logprobs: 3,
      user: 'anna',
      session: 's1',
    }),
    metadata,
  );
  await read(stream);
  const [call] = fake.parts.serving.calls;
  expect(call?.context).toMatchObject({
    namespace: 'team-a',
    user: 'anna',
    session: 's1',
    tenant: 'acme',
    priority: -5,
  });
  expect(call?.context.headers.get('x-department')).toBe('medical');
  expect(call?.request).toEqual({
    prompt: { kind: 'chat', messages: [{ role: 'user', content: 'hi' }] },
    maxTokens: 5,
    sampling: {
      temperature: 0.7,
      topP: 0.9,
      topK: 3,
      seed: 11,
      minP: 0.05,
      repetitionPenalty: 1.1,
      frequencyPenalty: 0.2,
      presencePenalty: -0.3,
      logitBias: [[5, 1.5]],
    },
    stop: ['x'],
    stopTokenIds: [9],
    minTokens: 4,
    ignoreEos: true,
    badWords: ['red'],
    logprobs: 3,
  });
});

it('log probabilities come with the tokens that they are of, and only when asked for', async () => {
  await using fake = await startFakeGrpc();
  const tokens = async (logprobs?: number) => {
    const messages = await read(fake.inference.generate(request({ maxTokens: 1, logprobs })));
    return messages[0]?.event?.value;
  };
  expect(await tokens()).toMatchObject({ ids: [65], logprobs: [] });
  expect(await tokens(2)).toMatchObject({
    ids: [65],
    logprobs: [
      {
        taken: { id: 65, token: 'A', bytes: Buffer.from('A'), logprob: -0.5 },
        top: [
          { token: 'A', logprob: -0.5 },
          { token: 'a', logprob: -1.5 },
        ],
      },
    ],
  });
});

it('a request without a prompt, and one for an unknown model, fail with code and message', async () => {
  await using fake = await startFakeGrpc();
  const none = await failureOf(fake.inference.generate(GenerateRequest.fromPartial({ model: 'sql' })));
  expect(none).toMatchObject({
    code: status.INVALID_ARGUMENT,
    details: expect.stringContaining('no prompt'),
  });
  const unknown = await failureOf(fake.inference.generate(request({ model: 'sqll' })));
  expect(unknown.code).toBe(status.NOT_FOUND);
  expect(unknown.metadata.get('x-adaptlet-error')).toEqual(['MODEL_NOT_FOUND']);
});

it('headers over their limit are refused before anything else', async () => {
  await using fake = await startFakeGrpc();
  const metadata = new Metadata();
  metadata.set('x-big', 'x'.repeat(9000));
  const failure = await failureOf(fake.inference.generate(request(), metadata));
  expect(failure).toMatchObject({ code: status.INVALID_ARGUMENT, details: expect.stringContaining('x-big') });
  expect(fake.parts.serving.calls).toEqual([]);
});

it('a priority that is none is refused', async () => {
  await using fake = await startFakeGrpc();
  const metadata = new Metadata();
  metadata.set('x-adaptlet-priority', 'urgent');
  const failure = await failureOf(fake.inference.generate(request(), metadata));
  expect(failure).toMatchObject({
    code: status.INVALID_ARGUMENT,
    details: expect.stringContaining('x-adaptlet-priority'),
  });
  expect(fake.parts.serving.calls).toEqual([]);
});

it('a failure in the middle keeps the tokens that came and says why it ended', async () => {
  await using fake = await startFakeGrpc();
  fake.parts.serving.failure = { error: new AdaptletError('ENGINE_DOWN', 'killed'), afterTokens: 2 };
  const stream = fake.inference.generate(request());
  const seen: GenerateResponse[] = [];
  stream.on('data', (message: GenerateResponse) => seen.push(message));
  const failure = await new Promise<ServiceError>((resolve) => {
    stream.once('error', resolve);
  });
  expect(failure.code).toBe(status.UNAVAILABLE);
  expect(texts(seen)).toBe('AB');
});

it('a client that cancels ends the generation with REQUEST_CANCELLED', async () => {
  await using fake = await startFakeGrpc();
  fake.parts.serving.gate = () => new Promise((resolve) => setTimeout(resolve, 5));
  const stream = fake.inference.generate(
    request({ prompt: { $case: 'text', value: 'x'.repeat(1000) }, maxTokens: 1000 }),
  );
  stream.once('data', () => stream.cancel());
  await failureOf(stream);
  await vi.waitFor(() => expect(fake.parts.serving.finished).toBe(1));
  expect(fake.parts.serving.calls[0]?.signal.reason).toMatchObject({ code: 'REQUEST_CANCELLED' });
  expect(await fake.parts.telemetry.metricsText()).toContain('code="REQUEST_CANCELLED"} 1');
});

it('the deadline of the call ends the generation with DEADLINE_EXCEEDED', async () => {
  await using fake = await startFakeGrpc();
  fake.parts.serving.gate = () => new Promise((resolve) => setTimeout(resolve, 20));
  const long = request({ prompt: { $case: 'text', value: 'x'.repeat(1000) }, maxTokens: 1000 });
  // Long enough for the call to reach the server, and far less than the answer takes.
  const failure = await failureOf(fake.inference.generate(long, { deadline: Date.now() + 1000 }));
  expect(failure.code).toBe(status.DEADLINE_EXCEEDED);
  await vi.waitFor(() => expect(fake.parts.serving.finished).toBe(1));
  expect(fake.parts.serving.calls[0]?.signal.reason).toMatchObject({ code: 'DEADLINE_EXCEEDED' });
});

it('a call that waits for a place gives it up when it is cancelled, and when its deadline passes', async () => {
  await using fake = await startFakeGrpc();
  const { serving } = fake.parts;
  serving.admits = false;
  const cancelled = fake.inference.generate(request());
  const failure = failureOf(cancelled);
  await vi.waitFor(() => expect(serving.waiting).toBe(1));
  cancelled.cancel();
  expect((await failure).code).toBe(status.CANCELLED);
  await vi.waitFor(() => expect(serving.waiting).toBe(0));
  expect(serving.calls[0]?.signal.reason).toMatchObject({ code: 'REQUEST_CANCELLED' });
  const late = failureOf(fake.inference.generate(request(), { deadline: Date.now() + 1000 }));
  await vi.waitFor(() => expect(serving.waiting).toBe(1));
  expect((await late).code).toBe(status.DEADLINE_EXCEEDED);
  await vi.waitFor(() => expect(serving.waiting).toBe(0));
  expect(serving.calls[1]?.signal.reason).toMatchObject({ code: 'DEADLINE_EXCEEDED' });
});

/** A client on bare HTTP/2 that takes nothing: grpc-js's own reads ahead without limit. */
const requestWithoutReading = (address: string) => {
  const session = connect(`http://${address}`);
  const stream = session.request({
    ':method': 'POST',
    ':path': '/adaptlet.inference.v1.Inference/Generate',
    'content-type': 'application/grpc',
    te: 'trailers',
  });
  const message = GenerateRequest.encode(request()).finish();
  const frame = Buffer.alloc(5 + message.length);
  frame.writeUInt32BE(message.length, 1);
  frame.set(message, 5);
  stream.end(frame);
  return { close: () => session.destroy() };
};

it('a reader that stops reading makes the generation wait, and then ends it', async () => {
  await using fake = await startFakeGrpc({ slowClientMs: 200 });
  const { serving } = fake.parts;
  let made = 0;
  const generate = serving.generate.bind(serving);
  serving.generate = async (context, wanted, signal) => {
    const endless = async function* () {
      for (; !signal.aborted; made++) yield { kind: 'token' as const, ids: [1], text: 'x'.repeat(2000) };
    };
    return { ...(await generate(context, wanted, signal)), events: endless() };
  };
  const client = requestWithoutReading(fake.address);
  await vi.waitFor(() => expect(serving.calls[0]?.signal.aborted).toBe(true), { timeout: 5000 });
  // Behind the server it is a cancellation, so that no guard counts it against an adapter.
  expect(serving.calls[0]?.signal.reason).toMatchObject({ code: 'REQUEST_CANCELLED' });
  await vi.waitFor(async () =>
    expect(await fake.parts.telemetry.metricsText()).toContain('code="CLIENT_TOO_SLOW"} 1'),
  );
  // The window of HTTP/2 (64 KiB), and what Node and grpc-js hold on the way.
  expect(made).toBeLessThan(200);
  client.close();
});

it('a runtime that no client gives a deadline has one of its own', async () => {
  const clock = new FakeClock();
  await using fake = await startFakeGrpc({
    clock,
    timeouts: { firstTokenMs: 1000, tokenMs: 0, requestMs: 0 },
  });
  fake.parts.serving.gate = async () => clock.advance(1001);
  const failure = await failureOf(fake.inference.generate(request()));
  expect(failure.code).toBe(status.DEADLINE_EXCEEDED);
  expect(failure.metadata.get('x-adaptlet-error')).toEqual(['DEADLINE_EXCEEDED']);
});
