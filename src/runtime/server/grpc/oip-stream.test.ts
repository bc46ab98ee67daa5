import { type ClientDuplexStream, Metadata, status } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ModelInferRequest, type ModelStreamInferResponse } from '../../../gen/inference/grpc_service.ts';
import { fakeDigest } from '../testing/fake-serving.ts';
import { startFakeGrpc } from '../testing/grpc-client.ts';
import { maxAtOnce } from './oip-stream.ts';

type Stream = ClientDuplexStream<ModelInferRequest, ModelStreamInferResponse>;

let fake: Awaited<ReturnType<typeof startFakeGrpc>>;
beforeEach(async () => {
  fake = await startFakeGrpc();
});
afterEach(() => fake[Symbol.asyncDispose]());

const request = (id: string, text: string, more: Parameters<typeof ModelInferRequest.fromPartial>[0] = {}) =>
  ModelInferRequest.fromPartial({
    id,
    modelName: 'sql',
    inputs: [
      { name: 'text', datatype: 'BYTES', shape: [1n], contents: { bytesContents: [Buffer.from(text)] } },
    ],
    ...more,
  });

/** All messages until the stream ends. */
const read = async (stream: Stream): Promise<ModelStreamInferResponse[]> => {
  const all: ModelStreamInferResponse[] = [];
  for await (const message of stream) all.push(message as ModelStreamInferResponse);
  return all;
};
const parameter = ({ inferResponse }: ModelStreamInferResponse, name: string) =>
  inferResponse?.parameters[name]?.parameterChoice?.value;
const textOf = (messages: readonly ModelStreamInferResponse[]) =>
  messages
    .map(({ inferResponse }) => inferResponse?.outputs.find(({ name }) => name === 'text'))
    .map((output) => String(output?.contents?.bytesContents[0]))
    .join('');

describe('ModelStreamInfer', () => {
  it('answers in parts; the last one has the reason why it ended', async () => {
    const stream = fake.oip.modelStreamInfer();
    stream.write(request('7', 'abc'));
    stream.end();
    const messages = await read(stream);
    expect(textOf(messages)).toBe('ABC');
    expect(messages.map((one) => parameter(one, 'triton_final_response'))).toEqual([
      false,
      false,
      false,
      true,
    ]);
    expect(messages.at(-1)?.inferResponse).toMatchObject({ id: '7', modelVersion: fakeDigest('a') });
    expect(messages.at(-1)?.inferResponse?.outputs.at(-1)).toMatchObject({ name: 'finish_reason' });
    expect(parameter(messages.at(-1)!, 'completion_tokens')).toBe(3n);
    for (const one of messages) {
      const told = ['digest', 'adapter', 'rollout', 'arm'].map((name) => parameter(one, name));
      expect(told).toEqual([fakeDigest('a'), 'upper', 'sql', 'stable']);
    }
  });

  it('says with each part which rule chose what answers', async () => {
    const stream = fake.oip.modelStreamInfer();
    stream.write(request('7', 'ab', { modelName: 'assistant' }));
    stream.end();
    const messages = await read(stream);
    expect(messages.map((one) => parameter(one, 'rule'))).toEqual(['überall', 'überall', 'überall']);
    expect(messages.map((one) => parameter(one, 'arm'))).toEqual(['canary', 'canary', 'canary']);
  });

  it('answers several requests at once; one that fails leaves the others and the stream', async () => {
    const stream = fake.oip.modelStreamInfer();
    stream.write(request('a', 'abc'));
    stream.write(request('b', 'x', { modelName: 'broken' }));
    stream.write(request('c', 'xyz', { parameters: { beam: {} } }));
    stream.write(request('d', 'xyz'));
    stream.end();
    const messages = await read(stream);
    const of = (id: string) => messages.filter(({ inferResponse }) => inferResponse?.id === id);
    expect(textOf(of('a'))).toBe('ABC');
    expect(textOf(of('d'))).toBe('XYZ');
    expect(of('b')).toMatchObject([{ errorMessage: expect.stringContaining('ADAPTER_NO_EFFECT') }]);
    expect(parameter(of('b')[0]!, 'error')).toBe('ADAPTER_NOT_AVAILABLE');
    expect(of('c')).toMatchObject([{ errorMessage: expect.stringContaining('parameter beam') }]);
  });

  it('outputs that are not asked for are left out, and parts without any', async () => {
    const stream = fake.oip.modelStreamInfer();
    stream.write(request('a', 'abc', { outputs: [{ name: 'finish_reason' }] }));
    stream.end();
    expect(await read(stream)).toMatchObject([{ inferResponse: { outputs: [{ name: 'finish_reason' }] } }]);
  });

  it('more requests than are answered at once wait their turn, and none is lost', async () => {
    let open: () => void = () => undefined;
    const gate = new Promise<void>((resolve) => {
      open = resolve;
    });
    fake.parts.serving.gate = () => gate;
    const stream = fake.oip.modelStreamInfer();
    const count = maxAtOnce * 3;
    for (let n = 0; n < count; n += 1) stream.write(request(String(n), 'ab'));
    stream.end();
    await expect.poll(() => fake.parts.serving.calls.length).toBeGreaterThanOrEqual(maxAtOnce);
    expect(fake.parts.serving.calls.length).toBeLessThanOrEqual(maxAtOnce + 1);
    open();
    const messages = await read(stream);
    const last = messages.filter((one) => parameter(one, 'triton_final_response') === true);
    expect(new Set(last.map(({ inferResponse }) => inferResponse?.id)).size).toBe(count);
  });

  it('errors that a client does not read keep further requests waiting, and none is lost', async () => {
    const stream = fake.oip.modelStreamInfer();
    const { calls } = fake.parts.serving;
    const count = 300;
    const long = 'x'.repeat(100_000);
    for (let n = 0; n < count; n += 1) stream.write(request(`${n} ${long}`, 'x', { modelName: 'broken' }));
    stream.end();
    // From here on the client takes as much as it has room for, and no more.
    stream.read(0);
    await expect.poll(() => calls.length).toBeGreaterThan(0);
    let before = -1;
    while (before !== calls.length) {
      before = calls.length;
      await new Promise((resolve) => setTimeout(resolve, 300));
    }
    expect(calls.length).toBeLessThan(count / 2);
    const messages = await read(stream);
    expect(new Set(messages.map(({ inferResponse }) => inferResponse?.id)).size).toBe(count);
  });

  it('a client that goes away ends all of its generations', async () => {
    fake.parts.serving.gate = () => new Promise(() => undefined);
    const stream = fake.oip.modelStreamInfer();
    stream.on('error', () => undefined);
    for (const id of ['a', 'b']) stream.write(request(id, 'abc'));
    await expect.poll(() => fake.parts.serving.calls.length).toBe(2);
    stream.cancel();
    await expect.poll(() => fake.parts.serving.calls.every(({ signal }) => signal.aborted)).toBe(true);
  });

  it('headers over their limits end the stream', async () => {
    const metadata = new Metadata();
    metadata.set('x-long', 'x'.repeat(8193));
    const stream = fake.oip.modelStreamInfer(metadata);
    stream.write(request('a', 'abc'));
    await expect(read(stream)).rejects.toMatchObject({ code: status.INVALID_ARGUMENT });
  });
});
