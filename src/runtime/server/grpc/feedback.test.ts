import { status } from '@grpc/grpc-js';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { EmbedResponse } from '../../../gen/adaptlet/inference/v1/inference.ts';
import { ModelInferRequest, type ModelInferResponse } from '../../../gen/inference/grpc_service.ts';
import { fakeDigest } from '../testing/fake-serving.ts';
import { startFakeGrpc, unaryCall } from '../testing/grpc-client.ts';

let fake: Awaited<ReturnType<typeof startFakeGrpc>>;
beforeAll(async () => {
  fake = await startFakeGrpc();
});
afterAll(() => fake[Symbol.asyncDispose]());

const give = (id: string, reward: number | undefined) =>
  new Promise((resolve, reject) => {
    fake.inference.feedback({ id, reward }, (error, response) =>
      error === null ? resolve(response) : reject(error),
    );
  });

it('feedback says what gave the answer, and whether it replaced an earlier one', async () => {
  const by = { rollout: 'sql', arm: 'canary', digest: fakeDigest('a') };
  expect(await give('r1', 0.5)).toEqual({ ...by, replaced: false });
  expect(await give('r1', 0.5)).toEqual({ ...by, replaced: false });
  expect(await give('r1', 0)).toEqual({ ...by, replaced: true });
  expect(fake.parts.serving.rewards.get('r1')).toBe(0);
  expect(await fake.parts.telemetry.metricsText()).toContain(
    'adaptlet_feedback_total{rollout="sql",arm="canary"} 1',
  );
});

it('feedback about an unknown answer is NOT_FOUND with its code', async () => {
  const failed: unknown = await give('nobody', 1).catch((error: unknown) => error);
  expect(failed).toMatchObject({ code: status.NOT_FOUND });
  const { metadata } = failed as { metadata: { get(key: string): unknown[] } };
  expect(metadata.get('x-adaptlet-error')).toEqual(['FEEDBACK_UNKNOWN']);
});

it.each<[string, string, number | undefined, RegExp]>([
  ['no id', '', 1, /id is empty/],
  ['an id that is none', 'x'.repeat(1000), 1, /id is longer than 128/],
  ['no reward', 'r2', undefined, /reward is missing/],
  ['NaN', 'r2', Number.NaN, /reward is NaN/],
  ['infinity', 'r2', Number.NEGATIVE_INFINITY, /reward is -Infinity/],
  ['a reward that is too large', 'r2', 1_000_001, /reward is 1000001, it must be a number from -1000000/],
])('feedback with %s is INVALID_ARGUMENT and says what is wrong', async (_, id, reward, message) => {
  await expect(give(id, reward)).rejects.toMatchObject({
    code: status.INVALID_ARGUMENT,
    details: expect.stringMatching(message),
  });
  expect(fake.parts.serving.rewards.has('r2')).toBe(false);
});

it('the id of an OpenAI completion is taken as well', async () => {
  await give('chatcmpl-r3', 1_000_000);
  expect(fake.parts.serving.rewards.get('r3')).toBe(1_000_000);
});

it('an answer that has no id in its body has it in its metadata', async () => {
  const encoded = {
    namespace: '',
    model: 'sql',
    inputs: [{ input: { $case: 'text' as const, value: 'a' } }],
    user: '',
    session: '',
  };
  const { response, metadata } = await unaryCall<EmbedResponse>((cb) => fake.inference.embed(encoded, cb));
  expect(metadata.get('x-adaptlet-request-id')).toEqual([response.id]);
  const inputs = [
    { name: 'text', datatype: 'BYTES', shape: [1n], contents: { bytesContents: [Buffer.from('a')] } },
  ];
  const request = ModelInferRequest.fromPartial({ modelName: 'sql', id: 'mine', inputs });
  const oip = await unaryCall<ModelInferResponse>((cb) => fake.oip.modelInfer(request, cb));
  expect([oip.response.id, oip.metadata.get('x-adaptlet-request-id')]).toEqual(['mine', ['r1']]);
});
