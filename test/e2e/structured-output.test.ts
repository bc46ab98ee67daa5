import { credentials } from '@grpc/grpc-js';
import { BadRequestError, OpenAI } from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { GenerateRequest, type GenerateResponse } from '../../src/gen/adaptlet/inference/v1/inference.ts';
import {
  GRPCInferenceServiceClient,
  ModelInferRequest,
  type ModelInferResponse,
} from '../../src/gen/inference/grpc_service.ts';
import { operator } from '../conformance/support/operator.ts';
import { inParts } from '../support/in-parts.ts';
import { extractRows, extractSchema, extractTokens, isExtract } from '../support/json-extract.ts';
import { rowsTogether, smollm } from '../support/models.ts';
import { TestNode, yaml } from '../support/node.ts';
import { waitFor } from '../support/wait.ts';

const clientOf = (node: TestNode): OpenAI =>
  new OpenAI({ baseURL: `${node.http}/v1`, apiKey: 'none', maxRetries: 0 });

describe('a node whose callers say what an answer has to be', () => {
  let node: TestNode;
  let openai: OpenAI;
  beforeAll(async () => {
    node = await TestNode.start();
    openai = clientOf(node);
    await node.write('adapters.yaml', yaml.adapter('upper', 'adapters/upper'));
    await waitFor('the adapter', async () => (await node.client.status()).adapters.length === 1);
  });
  afterAll(() => node.dispose());

  const schema = {
    type: 'object',
    properties: { size: { enum: ['small', 'large'] }, count: { type: 'integer', minimum: 1, maximum: 9 } },
    required: ['size', 'count'],
    additionalProperties: false,
  };
  const format = { type: 'json_schema', json_schema: { name: 'order', strict: true, schema } } as const;
  const complete = async (more: object): Promise<string> => {
    const { choices } = await openai.completions.create({
      model: 'upper',
      prompt: 'moon:',
      max_tokens: 100,
      temperature: 0,
      ...more,
    });
    return choices[0]?.text ?? '';
  };
  const expectOrder = (text: string): void =>
    expect(JSON.parse(text)).toEqual({
      size: expect.stringMatching(/^(small|large)$/),
      count: expect.any(Number),
    });

  it('gives the openai client JSON by its schema, whole and streamed', async () => {
    expectOrder(await complete({ response_format: format }));
    const stream = await openai.completions.create({
      model: 'upper',
      prompt: 'moon:',
      max_tokens: 100,
      stream: true,
      ...({ response_format: format } as object),
    });
    let text = '';
    for await (const chunk of stream) text += chunk.choices[0]?.text ?? '';
    expectOrder(text);
    expect(await complete({ response_format: { type: 'json_object' } })).toMatch(/^\{/);
  });

  it('each of several answers has it, and so has a response', async () => {
    const { choices } = await openai.completions.create({
      model: 'upper',
      prompt: 'moon:',
      max_tokens: 100,
      n: 3,
      seed: 1,
      ...({ response_format: format } as object),
    });
    expect(choices).toHaveLength(3);
    for (const { text } of choices) expectOrder(text);
    const asked = { model: 'upper', input: 'moon:', max_output_tokens: 100, temperature: 0 };
    const { output_parsed } = await openai.responses.parse({
      ...asked,
      text: { format: { type: 'json_schema', ...format.json_schema } },
    });
    expectOrder(JSON.stringify(output_parsed));
  });

  it("takes vLLM's names, new and old", async () => {
    expectOrder(await complete({ guided_json: schema }));
    expectOrder(await complete({ structured_outputs: { json: JSON.stringify(schema) } }));
    expect(await complete({ guided_regex: '[0-9]{4}' })).toMatch(/^\d{4}$/);
    expect(['yes', 'no']).toContain(await complete({ guided_choice: ['yes', 'no'] }));
    expect(await complete({ guided_grammar: 'start: "a" /[0-9]/ "b"' })).toMatch(/^a\db$/);
  });

  it('says by its name what cannot be enforced, and answers nothing', async () => {
    const bad = { type: 'object', properties: { tags: { type: 'array', uniqueItems: true } } };
    const failure = await complete({ guided_json: bad }).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(BadRequestError);
    expect(failure).toMatchObject({
      code: 'structure_unsupported',
      message: expect.stringContaining('#/properties/tags: the keyword uniqueItems is not supported'),
    });
  });

  it('takes the same by Generate', async () => {
    const request = GenerateRequest.fromPartial({
      model: 'upper',
      prompt: { $case: 'text', value: 'moon:' },
      structure: { of: { $case: 'jsonSchema', value: JSON.stringify(schema) } },
    });
    let text = '';
    const stream = node.client.inference.generate(request);
    for await (const { event } of stream as AsyncIterable<GenerateResponse>)
      if (event?.$case === 'tokens') text += event.value.text;
    expectOrder(text);
  });

  it('takes the same by the Open Inference Protocol, over HTTP and gRPC', async () => {
    const guided = JSON.stringify(schema);
    const answered = await fetch(`${node.http}/v2/models/upper/infer`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        inputs: [{ name: 'text', datatype: 'BYTES', shape: [1], data: ['moon:'] }],
        outputs: [{ name: 'text' }],
        parameters: { guided_json: guided },
      }),
    });
    const { outputs } = (await answered.json()) as { outputs: { data: string[] }[] };
    expectOrder(outputs[0]?.data[0] ?? '');

    const oip = new GRPCInferenceServiceClient(node.grpc, credentials.createInsecure());
    const request = ModelInferRequest.fromPartial({
      modelName: 'upper',
      inputs: [
        {
          name: 'text',
          datatype: 'BYTES',
          shape: [1n],
          contents: { bytesContents: [Buffer.from('moon:')] },
        },
      ],
      outputs: [{ name: 'text' }],
      parameters: { guided_json: { parameterChoice: { $case: 'stringParam', value: guided } } },
    });
    const response = await new Promise<ModelInferResponse>((resolve, reject) => {
      oip.modelInfer(request, (error, value) => (error === null ? resolve(value) : reject(error)));
    }).finally(() => oip.close());
    expectOrder(String(response.outputs[0]?.contents?.bytesContents[0]));
  });
});

const real = smollm();

describe.skipIf(real === undefined)(
  'the JSON adapters of SmolLM2 (ADAPTLET_MODELS or ../shared/models)',
  () => {
    let node: TestNode;
    let openai: OpenAI;
    const adapters = ['json-extract-v1', 'json-extract-v2'];
    beforeAll(async () => {
      if (real === undefined) return;
      node = await TestNode.start({
        model: real.modelDir,
        modelName: 'smollm2-135m',
        importRoots: real.adapters,
        settings: { threads: '2', 'log-level': 'info' },
      });
      openai = clientOf(node);
      const manifest = (name: string) =>
        `apiVersion: adaptlet.io/v1alpha1\nkind: Adapter\nmetadata: {name: ${name}}\nspec: {baseModel: smollm2-135m, source: {path: {path: ${name}}}}\n`;
      await node.write('adapters.yaml', adapters.map(manifest).join('---\n'));
      await waitFor('the adapters', async () => (await node.client.status()).adapters.length === 2);
    });
    afterAll(() => node?.dispose());

    /** Which of the answers to the held-out rows ended by themselves, are valid, and are the expected text. */
    const score = async (model: string, more: object) => {
      const [ended, valid, exact]: [number[], number[], number[]] = [[], [], []];
      const rows = real === undefined ? [] : extractRows(real);
      const asked = { model, max_tokens: extractTokens, temperature: 0, ...more };
      const answers = await inParts(
        rows,
        ({ prompt }) => openai.completions.create({ ...asked, prompt }),
        rowsTogether,
      );
      for (const [row, { expected }] of rows.entries()) {
        const choices = answers[row]?.choices ?? [];
        const text = choices[0]?.text ?? '';
        if (choices[0]?.finish_reason === 'stop') ended.push(row);
        if (isExtract(text)) valid.push(row);
        if (text === expected) exact.push(row);
      }
      return { ended, valid, exact, rows: rows.length };
    };

    it.each(adapters)('%s answers by the schema each time, and as exactly as without', async (model) => {
      const schema = { name: 'extract', strict: true, schema: extractSchema };
      const without = await score(model, {});
      const given = await score(model, { response_format: { type: 'json_schema', json_schema: schema } });
      const counts = ({ ended, valid, exact }: typeof given) => [ended.length, valid.length, exact.length];
      console.log(`${model}: ended, valid, exact`, { without: counts(without), with: counts(given) });
      expect(given.valid).toHaveLength(given.rows);
      // Masks take nothing from an answer that is right by itself: attention that knows no neighbours gives it the same tokens (ADR 98).
      // That of ONNX Runtime rounds guesses and kept prefixes near ties to either side, a row or two of 60 (ADR 49).
      if (operator !== undefined) expect(given.exact).toEqual(expect.arrayContaining(without.exact));
      else expect(given.exact.length).toBeGreaterThanOrEqual(without.exact.length - 3);
    });
  },
);
