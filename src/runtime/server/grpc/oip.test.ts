import { Metadata, status } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RetryInfo } from '../../../gen/google/rpc/error_details.ts';
import { Status } from '../../../gen/google/rpc/status.ts';
import { ModelInferRequest, type ModelInferResponse } from '../../../gen/inference/grpc_service.ts';
import { generateParameters } from '../fields/oip.ts';
import { encodeBytes, encodeInt64 } from '../oip/tensors.ts';
import { fakeDigest } from '../testing/fake-serving.ts';
import { startFakeGrpc, unaryCall } from '../testing/grpc-client.ts';

let fake: Awaited<ReturnType<typeof startFakeGrpc>>;
beforeAll(async () => {
  fake = await startFakeGrpc();
});
afterAll(async () => {
  await fake[Symbol.asyncDispose]();
});

type Partial_ = Parameters<typeof ModelInferRequest.fromPartial>[0];
const infer = (request: Partial_, metadata = new Metadata()) =>
  unaryCall<ModelInferResponse>((callback) =>
    fake.oip.modelInfer(ModelInferRequest.fromPartial({ modelName: 'sql', ...request }), metadata, callback),
  );

const typedText = (text: string) => ({
  name: 'text',
  datatype: 'BYTES',
  shape: [1n],
  contents: { bytesContents: [Buffer.from(text)] },
});
const rawText = { name: 'text', datatype: 'BYTES', shape: [1n] };

describe('ModelInfer', () => {
  it('typed contents are answered with typed contents, and with what served', async () => {
    const { response, metadata } = await infer({ id: '7', inputs: [typedText('héllo')] });
    expect(response).toMatchObject({
      modelName: 'sql',
      modelVersion: fakeDigest('a'),
      id: '7',
      rawOutputContents: [],
    });
    const [text, ids, finish] = response.outputs;
    expect(text?.contents?.bytesContents.map(String)).toEqual(['HÉLLO']);
    expect(ids).toMatchObject({
      datatype: 'INT64',
      shape: [1n, 5n],
      contents: { int64Contents: [72n, 201n, 76n, 76n, 79n] },
    });
    expect(finish?.contents?.bytesContents.map(String)).toEqual(['stop']);
    expect(response.parameters['completion_tokens']?.parameterChoice).toEqual({
      $case: 'int64Param',
      value: 5n,
    });
    expect(metadata.get('x-adaptlet-adapter')).toEqual(['upper']);
    expect(metadata.get('x-adaptlet-digest')).toEqual([fakeDigest('a')]);
    expect(metadata.get('x-adaptlet-arm')).toEqual(['stable']);
  });

  it('raw contents are answered raw, in the order of the outputs asked for', async () => {
    const { response } = await infer({
      inputs: [{ name: 'input_ids', datatype: 'INT64', shape: [1n, 3n] }],
      rawInputContents: [encodeInt64([97, 98, 99])],
      outputs: [{ name: 'token_ids' }, { name: 'text' }],
    });
    expect(response.outputs.map(({ name }) => name)).toEqual(['token_ids', 'text']);
    expect(response.outputs.every(({ contents }) => contents === undefined)).toBe(true);
    expect(response.rawOutputContents.map((b) => b.toString('hex'))).toEqual(
      [encodeInt64([65, 66, 67]), encodeBytes('ABC')].map((b) => b.toString('hex')),
    );
  });

  it('parameters reach the generation; the base model carries no adapter name', async () => {
    const { metadata } = await infer({
      modelName: 'tiny',
      inputs: [typedText('a.b')],
      parameters: {
        max_tokens: { parameterChoice: { $case: 'int64Param', value: 3n } },
        temperature: { parameterChoice: { $case: 'doubleParam', value: 0.5 } },
        top_k: { parameterChoice: { $case: 'uint64Param', value: 4n } },
        seed: { parameterChoice: { $case: 'int64Param', value: 9n } },
        min_p: { parameterChoice: { $case: 'doubleParam', value: 0.25 } },
        repetition_penalty: { parameterChoice: { $case: 'doubleParam', value: 1.5 } },
        frequency_penalty: { parameterChoice: { $case: 'int64Param', value: 1n } },
        presence_penalty: { parameterChoice: { $case: 'doubleParam', value: -0.5 } },
        stop: { parameterChoice: { $case: 'stringParam', value: '["!","?"]' } },
        min_tokens: { parameterChoice: { $case: 'int64Param', value: 2n } },
        ignore_eos: { parameterChoice: { $case: 'boolParam', value: true } },
        bad_words: { parameterChoice: { $case: 'stringParam', value: '["red","dog"]' } },
        user: { parameterChoice: { $case: 'stringParam', value: 'anna' } },
        session: { parameterChoice: { $case: 'stringParam', value: 's1' } },
      },
    });
    expect(fake.parts.serving.calls.at(-1)).toMatchObject({
      context: { user: 'anna', session: 's1', model: 'tiny', namespace: 'default' },
      request: {
        maxTokens: 3,
        sampling: {
          temperature: 0.5,
          topK: 4,
          seed: 9,
          minP: 0.25,
          repetitionPenalty: 1.5,
          frequencyPenalty: 1,
          presencePenalty: -0.5,
        },
        stop: ['!', '?'],
        minTokens: 2,
        ignoreEos: true,
        badWords: ['red', 'dog'],
      },
    });
    expect(metadata.get('x-adaptlet-adapter')).toEqual([]);
    expect(metadata.get('x-adaptlet-arm')).toEqual(['base']);
  });

  it('the priority comes from the metadata, and one that is none is refused', async () => {
    const asking = (priority: string) => {
      const metadata = new Metadata();
      metadata.set('x-adaptlet-priority', priority);
      return infer({ inputs: [typedText('a')] }, metadata);
    };
    await asking('-7');
    expect(fake.parts.serving.calls.at(-1)).toMatchObject({ context: { priority: -7 } });
    await expect(asking('2000')).rejects.toMatchObject({
      code: status.INVALID_ARGUMENT,
      details: expect.stringContaining('x-adaptlet-priority'),
    });
  });

  const text = (over: object) => ({ inputs: [{ ...typedText('x'), ...over }] });
  it.each<[string, Partial_, RegExp]>([
    ['no input', {}, /exactly one/],
    ['both inputs', { inputs: [typedText('x'), { ...typedText('x'), name: 'input_ids' }] }, /exactly one/],
    ['an unknown input', text({ name: 'prompt' }), /input prompt is not known/],
    ['another datatype', text({ datatype: 'INT64' }), /must be BYTES/],
    ['a shape of two texts', text({ shape: [2n] }), /has 2 elements/],
    ['a batch', text({ shape: [2n, 1n] }), /batch must be 1/],
    ['a shape without dimensions', text({ shape: [] }), /must be \[n\]/],
    ['a dimension of any size', text({ shape: [-1n] }), /must be \[n\]/],
    ['no contents', text({ contents: undefined }), /no contents/],
    ['contents of another type', text({ contents: { int64Contents: [1n] } }), /another datatype/],
    ['less data than the shape', text({ contents: { bytesContents: [] } }), /0 elements of data/],
    ['text that is not UTF-8', text({ contents: { bytesContents: [Buffer.from([0xff])] } }), /not UTF-8/],
    [
      'raw and typed together',
      { inputs: [typedText('x')], rawInputContents: [encodeBytes('x')] },
      /although/,
    ],
    [
      'more raw entries than inputs',
      { inputs: [rawText], rawInputContents: [encodeBytes('x'), encodeBytes('y')] },
      /2 entries for 1/,
    ],
    [
      'raw text cut short',
      { inputs: [rawText], rawInputContents: [encodeBytes('xyz').subarray(0, 5)] },
      /cut short/,
    ],
    [
      'raw text with a cut length',
      { inputs: [rawText], rawInputContents: [Buffer.from([1, 0])] },
      /cut short/,
    ],
    [
      'raw ids of another size',
      {
        inputs: [{ name: 'input_ids', datatype: 'INT64', shape: [2n] }],
        rawInputContents: [encodeInt64([1])],
      },
      /8 bytes, not 16/,
    ],
    ['an unknown output', { ...text({}), outputs: [{ name: 'logits' }] }, /output logits is not known/],
    [
      'an unknown parameter',
      { ...text({}), parameters: { beam: { parameterChoice: { $case: 'int64Param', value: 1n } } } },
      /parameter beam is not known; known are max_tokens/,
    ],
    [
      'a number as text',
      { ...text({}), parameters: { max_tokens: { parameterChoice: { $case: 'stringParam', value: '5' } } } },
      /max_tokens must be a number/,
    ],
    ['an empty model', { ...text({}), modelName: '' }, /model is empty/],
  ])('%s is INVALID_ARGUMENT with a message that names it', async (_, request, message) => {
    await expect(infer(request)).rejects.toMatchObject({
      code: status.INVALID_ARGUMENT,
      details: expect.stringMatching(message),
    });
  });

  it('a parameter of vLLM or Triton is refused with a reason, unless it asks for what is done anyway', async () => {
    const inputs = [typedText('x')];
    const choice = (value: unknown) =>
      typeof value === 'string'
        ? ({ $case: 'stringParam', value } as const)
        : typeof value === 'boolean'
          ? ({ $case: 'boolParam', value } as const)
          : ({ $case: 'int64Param', value: BigInt(Number(value)) } as const);
    for (const [name, field] of Object.entries(generateParameters)) {
      if (field.use === 'honoured') continue;
      const ask = (value: unknown) =>
        infer({ inputs, parameters: { [name]: { parameterChoice: choice(value) } } });
      const asks = field.use === 'refused' ? field.neutral.filter((value) => typeof value !== 'object') : [1];
      for (const value of asks) await expect(ask(value), name).resolves.toBeDefined();
      if (field.use === 'refused')
        await expect(ask('something'), name).rejects.toMatchObject({
          code: status.INVALID_ARGUMENT,
          details: expect.stringContaining(`parameter ${name} is not supported: ${field.why}`),
        });
    }
    const shared = { ...text({}), outputs: [{ name: 'text', parameters: { shared_memory_region: {} } }] };
    await expect(infer(shared)).rejects.toMatchObject({
      details: expect.stringContaining('parameter shared_memory_region of output text is not supported'),
    });
  });

  it('a version is the digest that must serve', async () => {
    const inputs = [typedText('x')];
    await expect(infer({ inputs, modelVersion: 'a'.repeat(12) })).resolves.toBeDefined();
    await expect(infer({ inputs, modelVersion: '1' })).rejects.toMatchObject({ code: status.NOT_FOUND });
  });

  it('an error carries its code and when to retry as trailers', async () => {
    const failed: unknown = await infer({ modelName: 'broken', inputs: [typedText('x')] }).catch(
      (e: unknown) => e,
    );
    expect(failed).toMatchObject({ code: status.FAILED_PRECONDITION });
    const { metadata } = failed as { metadata: Metadata };
    expect(metadata.get('x-adaptlet-error')).toEqual(['ADAPTER_NOT_AVAILABLE']);
    expect(metadata.get('retry-after')).toEqual(['2']);
    const [details] = metadata.get('grpc-status-details-bin');
    const [retry] = Status.decode(details as Buffer).details;
    expect(RetryInfo.decode(retry?.value ?? new Uint8Array()).retryDelay?.seconds).toBeGreaterThan(0n);
  });
});

describe('the calls about the server and its models', () => {
  it('live, ready, and what it is', async () => {
    expect((await unaryCall((cb) => fake.oip.serverLive({}, cb))).response).toEqual({ live: true });
    expect((await unaryCall((cb) => fake.oip.serverReady({}, cb))).response).toEqual({ ready: true });
    const { response } = await unaryCall((cb) => fake.oip.serverMetadata({}, cb));
    expect(response).toMatchObject({ name: 'adaptlet', version: '0.1.0' });
  });

  it.each([
    ['sql', true],
    ['broken', false],
    ['unknown', false],
  ])('ModelReady of %s is %s', async (name, ready) => {
    expect((await unaryCall((cb) => fake.oip.modelReady({ name, version: '' }, cb))).response).toEqual({
      ready,
    });
  });

  it('ModelMetadata tells the tensors and the digest; an unknown name is NOT_FOUND', async () => {
    const { response } = await unaryCall((cb) => fake.oip.modelMetadata({ name: 'upper', version: '' }, cb));
    expect(response).toMatchObject({ name: 'upper', versions: [fakeDigest('a')] });
    expect(response).toHaveProperty(['outputs', 1, 'shape'], [1n, -1n]);
    const unknown = unaryCall((cb) => fake.oip.modelMetadata({ name: 'nope', version: '' }, cb));
    await expect(unknown).rejects.toMatchObject({ code: status.NOT_FOUND });
  });
});

const load = (request: { repositoryName?: string; modelName?: string; parameters?: object }) =>
  unaryCall((cb) =>
    fake.oip.repositoryModelLoad({ repositoryName: '', modelName: '', ...request, parameters: {} }, cb),
  );

const index = (ready: boolean) =>
  unaryCall((cb) => fake.oip.repositoryIndex({ repositoryName: '', ready }, cb));

describe('the model repository', () => {
  it('the index has every name with its state and the reason', async () => {
    const { response } = await index(false);
    expect(response).toHaveProperty('models.length', 5);
    expect(response).toMatchObject({
      models: expect.arrayContaining([expect.objectContaining({ name: 'broken', state: 'UNAVAILABLE' })]),
    });
    expect((await index(true)).response).toHaveProperty('models.length', 4);
  });

  it('load and unload steer the Adapter, also when called as KServe does', async () => {
    fake.parts.admin.told.length = 0;
    await load({ modelName: 'upper' });
    await load({ repositoryName: 'upper' });
    await load({ repositoryName: 'team-a', modelName: 'upper' });
    await load({ modelName: 'tiny' });
    await unaryCall((cb) =>
      fake.oip.repositoryModelUnload({ repositoryName: '', modelName: 'upper', parameters: {} }, cb),
    );
    expect(fake.parts.admin.told).toEqual([
      'preload default/upper',
      'preload default/upper',
      'preload team-a/upper',
      'evict default/upper',
    ]);
  });

  it('a pinned adapter is not unloaded by a caller without a credential', async () => {
    fake.parts.admin.told.length = 0;
    fake.parts.admin.pinned = true;
    const unload = { repositoryName: '', modelName: 'upper', parameters: {} };
    const refused = unaryCall((cb) => fake.oip.repositoryModelUnload(unload, cb));
    await expect(refused).rejects.toMatchObject({ code: status.FAILED_PRECONDITION });
    fake.parts.admin.pinned = false;
    expect(fake.parts.admin.told).toEqual([]);
  });

  it('a rollout is not loaded by hand, the base model is not unloaded, overrides are refused', async () => {
    await expect(load({ modelName: 'sql' })).rejects.toMatchObject({ code: status.FAILED_PRECONDITION });
    await expect(load({})).rejects.toMatchObject({ code: status.INVALID_ARGUMENT });
    const base = { repositoryName: '', modelName: 'tiny', parameters: {} };
    await expect(unaryCall((cb) => fake.oip.repositoryModelUnload(base, cb))).rejects.toMatchObject({
      code: status.FAILED_PRECONDITION,
    });
    const parameters = { config: { parameterChoice: { $case: 'stringParam' as const, value: '{}' } } };
    const override = { repositoryName: '', modelName: 'upper', parameters };
    await expect(unaryCall((cb) => fake.oip.repositoryModelLoad(override, cb))).rejects.toMatchObject({
      details: expect.stringMatching(/parameter config is not supported/),
    });
  });
});
