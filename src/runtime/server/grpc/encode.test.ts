import { status } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { EncoderInput } from '../../../gen/adaptlet/inference/v1/inference.ts';
import { fakeDigest } from '../testing/fake-serving.ts';
import { startFakeGrpc, unaryCall } from '../testing/grpc-client.ts';

let fake: Awaited<ReturnType<typeof startFakeGrpc>>;
beforeAll(async () => {
  fake = await startFakeGrpc();
});
afterAll(() => fake[Symbol.asyncDispose]());

const text = (value: string): EncoderInput => ({ input: { $case: 'text', value } });
const request = (model: string, ...inputs: EncoderInput[]) => ({
  namespace: '',
  model,
  inputs,
  user: 'anna',
  session: '',
});
const embed = (model: string, ...inputs: EncoderInput[]) =>
  unaryCall((cb) => fake.inference.embed(request(model, ...inputs), cb));
const classify = (model: string, ...inputs: EncoderInput[]) =>
  unaryCall((cb) => fake.inference.classify(request(model, ...inputs), cb));

describe('Embed', () => {
  it('answers with one embedding for each input, and with what served', async () => {
    const tokens: EncoderInput = { input: { $case: 'tokenIds', value: { ids: [1, 2] } } };
    const { response, metadata } = await embed('sql', text('abc'), tokens);
    expect(response).toEqual({
      served: { adapter: 'upper', digest: fakeDigest('a'), rollout: 'sql', arm: 'stable', rule: '' },
      id: 'e1',
      embeddings: [
        { values: [3, 0.5], truncated: false },
        { values: [2, 0.5], truncated: false },
      ],
      usage: { promptTokens: 5, completionTokens: 0, cachedTokens: 0 },
    });
    expect(metadata.get('x-adaptlet-digest')).toEqual([fakeDigest('a')]);
    expect(fake.parts.serving.encoded.at(-1)).toMatchObject({ context: { user: 'anna', model: 'sql' } });
  });

  it('an input that is neither text nor tokens is INVALID_ARGUMENT, and says which', async () => {
    await expect(embed('sql', text('a'), { input: undefined })).rejects.toMatchObject({
      code: status.INVALID_ARGUMENT,
      details: expect.stringMatching(/input 1 has neither/),
    });
  });
});

describe('Classify', () => {
  it('answers with labels, probabilities and logits', async () => {
    const { response } = await classify('upper', text('abcdef'));
    expect(response).toMatchObject({
      labels: ['short', 'long'],
      classifications: [{ label: 'long', probabilities: [0.25, 0.75], logits: [0, 6] }],
    });
  });

  it('what has no head is INVALID_ARGUMENT with its code', async () => {
    const failed: unknown = await classify('tiny', text('a')).catch((e: unknown) => e);
    expect(failed).toMatchObject({ code: status.INVALID_ARGUMENT });
    const { metadata } = failed as { metadata: { get(key: string): unknown[] } };
    expect(metadata.get('x-adaptlet-error')).toEqual(['CLASSIFIER_MISSING']);
  });
});
