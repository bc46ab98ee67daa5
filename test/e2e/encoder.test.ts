import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { credentials, status } from '@grpc/grpc-js';
import { BadRequestError, OpenAI } from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  GRPCInferenceServiceClient,
  ModelInferRequest,
  type ModelInferResponse,
  type ModelMetadataResponse,
} from '../../src/gen/inference/grpc_service.ts';
import { unaryCall } from '../../src/runtime/server/testing/grpc-client.ts';
import { codeBlocks } from '../support/code-blocks.ts';
import { minilm } from '../support/models.ts';
import { TestNode } from '../support/node.ts';
import { repositoryRoot } from '../support/process.ts';
import { folderOfTests } from '../support/temporary-folder.ts';
import { writeTensorModel } from '../support/tensor-model.ts';
import { waitFor } from '../support/wait.ts';

const run = promisify(execFile);
const real = minilm();
type Row = { readonly text: string; readonly label: string };
type Classified = { readonly data: readonly { readonly index: number; readonly label: string }[] };
type Partial_ = Parameters<typeof ModelInferRequest.fromPartial>[0];

const infer = (client: GRPCInferenceServiceClient, request: Partial_) =>
  unaryCall<ModelInferResponse>((cb) => client.modelInfer(ModelInferRequest.fromPartial(request), cb));
const metadata = (client: GRPCInferenceServiceClient, name: string) =>
  unaryCall<ModelMetadataResponse>((cb) => client.modelMetadata({ name, version: '' }, cb));

const page = readFileSync(join(repositoryRoot, 'docs/how-to/embeddings-and-classification.md'), 'utf8');

const textInput = (...texts: readonly string[]) => ({
  name: 'text',
  datatype: 'BYTES',
  shape: [BigInt(texts.length)],
  contents: { bytesContents: texts.map((text) => Buffer.from(text)) },
});

describe.skipIf(real === undefined)('a node on MiniLM int8 (ADAPTLET_MODELS or ../shared/models)', () => {
  let node: TestNode;
  let oip: GRPCInferenceServiceClient;
  let openai: OpenAI;
  let digest = '';

  const post = async (path: string, body: object): Promise<Response> =>
    await fetch(`${node.http}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });

  beforeAll(async () => {
    if (real === undefined) return;
    node = await TestNode.start({
      model: real.modelDir,
      modelName: 'minilm',
      importRoots: real.adapters,
      settings: { threads: '2' },
    });
    const [adapter = ''] = codeBlocks(page, 'yaml');
    await node.write(
      'intent.yaml',
      `${adapter}---
apiVersion: adaptlet.io/v1alpha1
kind: AdapterRollout
metadata: {name: route-intent}
spec: {adapter: intent, strategy: {canary: {steps: [{setWeight: 50}]}}}
`,
    );
    await waitFor('the rollout', async () => (await node.client.status()).rollouts[0]?.phase === 'Healthy');
    digest = (await node.client.status()).adapters[0]?.digest ?? '';
    oip = new GRPCInferenceServiceClient(node.grpc, credentials.createInsecure());
    openai = new OpenAI({ baseURL: `${node.http}/v1`, apiKey: 'unused', maxRetries: 0 });
  });
  afterAll(async () => {
    oip?.close();
    await node?.dispose();
  });

  it('classifies the whole held-out set of intent rightly', async () => {
    const rows = readFileSync(join(real?.eval ?? '', 'intent.jsonl'), 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Row);
    const response = await post('/v1/classify', {
      model: 'route-intent',
      input: rows.map(({ text }) => text),
    });
    expect(response.status).toBe(200);
    const { data } = (await response.json()) as Classified;
    const right = data.filter(({ label }, index) => label === rows[index]?.label).length;
    expect(right / rows.length).toBe(1);
    expect(rows).toHaveLength(100);
    expect(response.headers.get('x-adaptlet-adapter')).toBe('intent');
    expect(response.headers.get('x-adaptlet-rollout')).toBe('route-intent');
    expect(response.headers.get('x-adaptlet-digest')).toBe(digest);
  });

  it('gives the openai client embeddings of length 1, in which alike texts are near', async () => {
    const input = ['will it rain tomorrow', 'do I need an umbrella tomorrow', 'transfer 5 dollars to anna'];
    const { data, usage } = await openai.embeddings.create({ model: 'minilm', input });
    const [rain = [], umbrella = [], money = []] = data.map(({ embedding }) => embedding);
    const dot = (a: readonly number[], b: readonly number[]): number =>
      a.reduce((sum, value, at) => sum + value * (b[at] ?? NaN), 0);
    expect(rain).toHaveLength(384);
    expect(dot(rain, rain)).toBeCloseTo(1, 5);
    expect(dot(rain, umbrella)).toBeGreaterThan(dot(rain, money) + 0.3);
    expect(usage.prompt_tokens).toBeGreaterThan(15);
    const floats = await openai.embeddings.create({ model: 'minilm', input, encoding_format: 'float' });
    expect(floats.data[0]?.embedding).toEqual(rain);
  });

  it('embeds by an adapter when it is asked for, and says which', async () => {
    const request = openai.embeddings.create({ model: 'intent', input: 'play some jazz' });
    const { data: adapted, response } = await request.withResponse();
    const plain = await openai.embeddings.create({ model: 'minilm', input: 'play some jazz' });
    expect(adapted.data[0]?.embedding).not.toEqual(plain.data[0]?.embedding);
    expect(response.headers.get('x-adaptlet-digest')).toBe(digest);
  });

  it('answers the commands of docs/how-to/embeddings-and-classification.md', async () => {
    const answers: unknown[] = [];
    for (const command of codeBlocks(page, 'sh').filter((text) => text.startsWith('curl'))) {
      const { stdout } = await run('bash', [
        '-c',
        command.replace('localhost:8080', new URL(node.http).host),
      ]);
      answers.push(JSON.parse(stdout));
    }
    expect(answers).toMatchObject([
      { data: [{ index: 0 }, { index: 1 }], usage: { prompt_tokens: 11 } },
      { data: [{ label: 'alarm' }, { label: 'music' }] },
    ]);
  });

  it('refuses to generate, and names the calls that it answers', async () => {
    const wrong = openai.completions.create({ model: 'minilm', prompt: 'once upon' });
    await expect(wrong).rejects.toBeInstanceOf(BadRequestError);
    await expect(wrong).rejects.toMatchObject({
      code: 'task_unsupported',
      message: expect.stringContaining('/v1/embeddings'),
    });
  });

  it('answers ModelInfer: labels where an adapter classifies, else embeddings, and tells both before', async () => {
    const adapter = await infer(oip, {
      modelName: 'intent',
      inputs: [textInput('wake me up at 7', 'play jazz')],
    });
    expect(adapter.response).toMatchObject({ modelVersion: digest });
    const [label, probabilities] = adapter.response.outputs;
    expect(label?.contents?.bytesContents.map(String)).toEqual(['alarm', 'music']);
    expect(probabilities).toMatchObject({ name: 'probabilities', datatype: 'FP32', shape: [2n, 5n] });
    const base = await infer(oip, { modelName: 'minilm', inputs: [textInput('play jazz')] });
    expect(base.response.outputs).toMatchObject([{ name: 'embedding', datatype: 'FP32', shape: [1n, 384n] }]);
    expect(base.response.outputs[0]?.contents?.fp32Contents).toHaveLength(384);
    expect((await metadata(oip, 'intent')).response).toMatchObject({
      inputs: [{ name: 'text', datatype: 'BYTES', shape: [-1n] }],
      outputs: [
        { name: 'label' },
        { name: 'probabilities', shape: [-1n, 5n] },
        { name: 'logits', shape: [-1n, 5n] },
        { name: 'embedding', shape: [-1n, 384n] },
      ],
    });
    expect((await metadata(oip, 'minilm')).response.outputs).toMatchObject([{ name: 'embedding' }]);
  });
});

describe('a node on a graph of plain tensors', () => {
  let node: TestNode;
  let oip: GRPCInferenceServiceClient;
  const folder = folderOfTests();

  beforeAll(async () => {
    node = await TestNode.start({
      model: await writeTensorModel(join(folder, 'doubler')),
      modelName: 'doubler',
      // A batch is run because it is full: the delay is longer than the test.
      settings: { 'max-batch': '2', 'max-batch-delay': '60000' },
    });
    oip = new GRPCInferenceServiceClient(node.grpc, credentials.createInsecure());
  });
  afterAll(async () => {
    oip?.close();
    await node?.dispose();
  });

  const x = (...values: readonly number[]) => ({
    name: 'x',
    datatype: 'FP32',
    shape: [BigInt(values.length / 2), 2n],
    contents: { fp32Contents: [...values] },
  });

  it('runs concurrent requests in one batch and gives each its own rows', async () => {
    const [one, two] = await Promise.all([
      infer(oip, { modelName: 'doubler', inputs: [x(1, 2)] }),
      infer(oip, { modelName: 'doubler', inputs: [x(3, 4)] }),
    ]);
    expect(one.response.outputs.map(({ contents }) => contents?.fp32Contents)).toEqual([[2, 4], [2]]);
    expect(two.response.outputs.map(({ contents }) => contents?.fp32Contents)).toEqual([[6, 8], [2]]);
    expect(one.metadata.get('x-adaptlet-digest')).toEqual([one.response.modelVersion]);
  });

  it('answers raw tensors raw, and the outputs that are asked for', async () => {
    const raw = Buffer.from(Float32Array.of(1, 2, 3, 4).buffer);
    const { response } = await infer(oip, {
      modelName: 'doubler',
      inputs: [{ name: 'x', datatype: 'FP32', shape: [2n, 2n] }],
      rawInputContents: [raw],
      outputs: [{ name: 'y' }],
    });
    expect(response.outputs).toMatchObject([{ name: 'y', datatype: 'FP32', shape: [2n, 2n] }]);
    const [bytes = Buffer.alloc(0)] = response.rawOutputContents;
    expect([0, 4, 8, 12].map((at) => bytes.readFloatLE(at))).toEqual([2, 4, 6, 8]);
  });

  it('tells the tensors of the graph, and refuses others', async () => {
    expect((await metadata(oip, 'doubler')).response).toMatchObject({
      inputs: [{ name: 'x', datatype: 'FP32', shape: [-1n, 2n] }],
      outputs: [
        { name: 'y', datatype: 'FP32', shape: [-1n, 2n] },
        { name: 'run', datatype: 'FP32', shape: [-1n] },
      ],
    });
    await expect(infer(oip, { modelName: 'doubler', inputs: [textInput('x')] })).rejects.toMatchObject({
      code: status.INVALID_ARGUMENT,
    });
    const wide = { ...x(1, 2), shape: [1n, 3n] };
    await expect(infer(oip, { modelName: 'doubler', inputs: [wide] })).rejects.toMatchObject({
      code: status.INVALID_ARGUMENT,
      details: expect.stringMatching(/the model takes \[-1, 2\]/),
    });
  });
});
