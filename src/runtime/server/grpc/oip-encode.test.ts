import { status } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  ModelInferRequest,
  type ModelInferResponse,
  type ModelMetadataResponse,
} from '../../../gen/inference/grpc_service.ts';
import type { Serving } from '../../serving/serving.ts';
import { encodeBytes } from '../oip/tensors.ts';
import { fakeDigest } from '../testing/fake-serving.ts';
import { startFakeGrpc, unaryCall } from '../testing/grpc-client.ts';

type Partial_ = Parameters<typeof ModelInferRequest.fromPartial>[0];
let fake: Awaited<ReturnType<typeof startFakeGrpc>>;

const start = async (base: Pick<Serving['base'], 'task' | 'encoder' | 'tensors'>): Promise<void> => {
  fake = await startFakeGrpc();
  fake.parts.serving.base = { ...fake.parts.serving.base, ...base };
};
const infer = (request: Partial_) =>
  unaryCall<ModelInferResponse>((cb) =>
    fake.oip.modelInfer(ModelInferRequest.fromPartial({ modelName: 'upper', ...request }), cb),
  );
const metadata = (name: string) =>
  unaryCall<ModelMetadataResponse>((cb) => fake.oip.modelMetadata({ name, version: '' }, cb));
const refusal = async (request: Partial_, message: RegExp) => {
  await expect(infer(request)).rejects.toMatchObject({
    code: status.INVALID_ARGUMENT,
    details: expect.stringMatching(message),
  });
};

describe('ModelInfer of an encoder', () => {
  const encoder = { dimensions: 2, maxTokens: 8, pooling: 'mean', normalize: true, wrappers: [] } as const;
  beforeAll(() => start({ task: 'embed', encoder }));
  afterAll(() => fake[Symbol.asyncDispose]());

  const text = (...texts: readonly string[]) => ({
    name: 'text',
    datatype: 'BYTES',
    shape: [BigInt(texts.length)],
    contents: { bytesContents: texts.map((one) => Buffer.from(one)) },
  });

  it('answers with labels, probabilities and logits where an adapter classifies', async () => {
    const { response, metadata: sent } = await infer({ id: '7', inputs: [text('abc', 'abcdef')] });
    expect(response).toMatchObject({ id: '7', modelVersion: fakeDigest('a') });
    expect(response.outputs.map(({ name, datatype, shape }) => [name, datatype, shape])).toEqual([
      ['label', 'BYTES', [2n]],
      ['probabilities', 'FP32', [2n, 2n]],
      ['logits', 'FP32', [2n, 2n]],
    ]);
    expect(response.outputs[0]?.contents?.bytesContents.map(String)).toEqual(['short', 'long']);
    expect(response.outputs[1]?.contents?.fp32Contents).toEqual([0.75, 0.25, 0.25, 0.75]);
    expect(response.parameters['prompt_tokens']?.parameterChoice).toEqual({ $case: 'int64Param', value: 9n });
    expect(sent.get('x-adaptlet-adapter')).toEqual(['upper']);
  });

  it('answers with embeddings where nothing classifies, or where they are asked for', async () => {
    const base = await infer({ modelName: 'tiny', inputs: [text('abc')] });
    expect(base.response.outputs).toMatchObject([{ name: 'embedding', datatype: 'FP32', shape: [1n, 2n] }]);
    const asked = await infer({ inputs: [text('abc')], outputs: [{ name: 'embedding' }] });
    expect(asked.response.outputs[0]?.contents?.fp32Contents).toEqual([3, 0.5]);
  });

  it('answers raw to what came raw, with the outputs in the order asked for', async () => {
    const { response } = await infer({
      inputs: [{ name: 'text', datatype: 'BYTES', shape: [2n, 1n] }],
      rawInputContents: [Buffer.concat([encodeBytes('abc'), encodeBytes('abcdef')])],
      outputs: [{ name: 'logits' }, { name: 'label' }],
    });
    expect(response.outputs.map(({ name, contents }) => [name, contents])).toEqual([
      ['logits', undefined],
      ['label', undefined],
    ]);
    const [logits = Buffer.alloc(0), labels] = response.rawOutputContents;
    expect([0, 4, 8, 12].map((at) => logits.readFloatLE(at))).toEqual([0, 3, 0, 6]);
    expect(labels).toEqual(Buffer.concat([encodeBytes('short'), encodeBytes('long')]));
  });

  it('ModelMetadata tells what a name gives', async () => {
    const [card] = fake.parts.serving.cards.filter(({ id }) => id === 'upper');
    if (card === undefined) throw new Error('no card');
    fake.parts.serving.cards = [{ ...card, labels: ['short', 'long'] }, ...fake.parts.serving.cards];
    expect((await metadata('upper')).response.outputs.map(({ name, shape }) => [name, shape])).toEqual([
      ['label', [-1n]],
      ['probabilities', [-1n, 2n]],
      ['logits', [-1n, 2n]],
      ['embedding', [-1n, 2n]],
    ]);
    expect((await metadata('tiny')).response.outputs).toMatchObject([{ name: 'embedding' }]);
  });

  it.each<[string, Partial_, RegExp]>([
    ['no input', {}, /exactly one: text/],
    ['tokens', { inputs: [{ ...text('a'), name: 'input_ids' }] }, /inputs are \[input_ids\]/],
    ['another datatype', { inputs: [{ ...text('a'), datatype: 'INT64' }] }, /must be BYTES/],
    [
      'a shape of two columns',
      { inputs: [{ ...text('a', 'b'), shape: [1n, 2n] }] },
      /must be \[n\] or \[n,1\]/,
    ],
    ['fewer texts than its shape', { inputs: [{ ...text('a'), shape: [2n] }] }, /1 elements of data for 2/],
    ['an unknown output', { inputs: [text('a')], outputs: [{ name: 'x' }] }, /known are embedding, label/],
    [
      'both kinds of outputs',
      { inputs: [text('a')], outputs: [{ name: 'embedding' }, { name: 'label' }] },
      /embedding has to be asked for by itself/,
    ],
    [
      'a parameter of generation',
      { inputs: [text('a')], parameters: { top_k: { parameterChoice: { $case: 'int64Param', value: 1n } } } },
      /parameter top_k is not known; known are user, session/,
    ],
    ['a text that is far too long', { inputs: [text('a'.repeat(8 * 128 + 1))] }, /1025 characters/],
  ])('%s is INVALID_ARGUMENT with a message that names it', async (_, request, message) => {
    await refusal(request, message);
  });

  it('a version is the digest that must answer', async () => {
    await expect(infer({ inputs: [text('a')], modelVersion: '1' })).rejects.toMatchObject({
      code: status.NOT_FOUND,
    });
  });
});

describe('ModelInfer of a graph of plain tensors', () => {
  const spec = { name: 'x', type: 'int16', shape: [-1, 2] } as const;
  beforeAll(() => start({ task: 'infer', tensors: { inputs: [spec], outputs: [spec], batching: true } }));
  afterAll(() => fake[Symbol.asyncDispose]());

  const x = { name: 'x', datatype: 'INT16', shape: [1n, 2n], contents: { intContents: [1, -2] } };

  it('answers with the outputs of the graph, typed or raw as they came', async () => {
    const typed = await infer({ modelName: 'tiny', inputs: [x] });
    expect(typed.response).toMatchObject({ modelVersion: fakeDigest('b') });
    expect(typed.response.outputs).toMatchObject([
      { name: 'x', datatype: 'INT16', shape: [1n, 2n], contents: { intContents: [1, -2] } },
    ]);
    const bytes = Buffer.from(Int16Array.of(1, -2).buffer);
    const raw = await infer({
      modelName: 'tiny',
      inputs: [{ ...x, contents: undefined }],
      rawInputContents: [bytes],
    });
    expect(raw.response.rawOutputContents).toEqual([bytes]);
    expect(fake.parts.serving.inferred.at(-1)?.request.inputs).toMatchObject([
      { type: 'int16', shape: [1, 2] },
    ]);
  });

  it('ModelMetadata tells its tensors', async () => {
    expect((await metadata('tiny')).response).toMatchObject({
      inputs: [{ name: 'x', datatype: 'INT16', shape: [-1n, 2n] }],
      outputs: [{ name: 'x', datatype: 'INT16', shape: [-1n, 2n] }],
    });
  });

  it('an output that it has not is refused before anything is run', async () => {
    const before = fake.parts.serving.inferred.length;
    await refusal({ modelName: 'tiny', inputs: [x], outputs: [{ name: 'y' }] }, /known are x/);
    expect(fake.parts.serving.inferred).toHaveLength(before);
  });
});
