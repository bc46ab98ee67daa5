import { describe, expect, it } from 'vitest';
import { encodeBytes } from '../oip/tensors.ts';
import { fakeDigest } from '../testing/fake-serving.ts';
import { startFakeHttp } from '../testing/http-app.ts';
import { maxBodyBytes } from './body.ts';
import { headLength } from './oip-body.ts';

const { parts, app, post } = startFakeHttp();
const text = { name: 'text', shape: [1], datatype: 'BYTES', data: ['héllo'] };
const infer = (body: unknown, init: RequestInit = {}, path = 'sql') =>
  post(`/v2/models/${path}/infer`, body, init);
const get = (path: string) => app.request(`/v2${path}`);

const errorOf = async (response: Response) => {
  const body = (await response.json()) as { error: unknown; code: unknown };
  expect(body).toEqual({ error: expect.any(String), code: expect.any(String) });
  return { status: response.status, message: String(body.error) };
};

/** A body of JSON and what follows it, as tritonclient sends it: without a content-type. */
const binary = (json: object, tail: Uint8Array, headers: Record<string, string> = {}) => {
  const head = Buffer.from(JSON.stringify(json));
  const body = new Blob([head, Uint8Array.from(tail)]);
  return app.request('/v2/models/sql/infer', {
    method: 'POST',
    body,
    headers: { [headLength]: String(head.length), ...headers },
  });
};

describe('infer', () => {
  it('answers with what was generated, and with what served it', async () => {
    const response = await infer({ id: '7', inputs: [text], parameters: { max_tokens: 9, user: 'anna' } });
    expect(response.status).toBe(200);
    expect(await response.json()).toEqual({
      model_name: 'sql',
      model_version: fakeDigest('a'),
      id: '7',
      parameters: {
        request_id: response.headers.get('x-adaptlet-request-id'),
        digest: fakeDigest('a'),
        adapter: 'upper',
        rollout: 'sql',
        arm: 'stable',
        rule: '',
        prompt_tokens: expect.any(Number),
        completion_tokens: 5,
      },
      outputs: [
        { name: 'text', datatype: 'BYTES', shape: [1], data: ['HÉLLO'] },
        { name: 'token_ids', datatype: 'INT64', shape: [1, 5], data: [72, 201, 76, 76, 79] },
        { name: 'finish_reason', datatype: 'BYTES', shape: [1], data: ['stop'] },
      ],
    });
    expect(response.headers.get('x-adaptlet-digest')).toBe(fakeDigest('a'));
    expect(parts.serving.calls.at(-1)).toMatchObject({
      context: { user: 'anna' },
      request: { maxTokens: 9 },
    });
  });

  it('reads nested data, answers the outputs asked for, in their order', async () => {
    const inputs = [{ name: 'input_ids', shape: [1, 3], datatype: 'INT64', data: [[97, 98, 99]] }];
    const response = await infer({ inputs, outputs: [{ name: 'token_ids' }, { name: 'text' }] });
    expect(await response.json()).toMatchObject({ outputs: [{ data: [65, 66, 67] }, { data: ['ABC'] }] });
  });

  it('takes bytes behind the JSON, and answers with bytes where they are wanted', async () => {
    const raw = encodeBytes('abc');
    const inputs = [
      { name: 'text', shape: [1], datatype: 'BYTES', parameters: { binary_data_size: raw.length } },
    ];
    const outputs = [{ name: 'finish_reason' }, { name: 'text', parameters: { binary_data: true } }];
    const response = await binary({ inputs, outputs }, raw);
    expect(response.status).toBe(200);
    const body = Buffer.from(await response.arrayBuffer());
    const length = Number(response.headers.get(headLength));
    expect(JSON.parse(body.toString('utf8', 0, length))).toMatchObject({
      outputs: [
        { name: 'finish_reason', data: ['stop'] },
        { name: 'text', parameters: { binary_data_size: 7 } },
      ],
    });
    expect(body.subarray(length)).toEqual(encodeBytes('ABC'));
  });

  it('binary_data_output wants all of them as bytes, but those that say no', async () => {
    const outputs = [{ name: 'text' }, { name: 'token_ids', parameters: { binary_data: false } }];
    const response = await infer({ inputs: [text], outputs, parameters: { binary_data_output: true } });
    const body = Buffer.from(await response.arrayBuffer());
    const length = Number(response.headers.get(headLength));
    expect(body.subarray(length)).toEqual(encodeBytes('HÉLLO'));
    expect(body.toString('utf8', 0, length)).toContain('"data":[72,');
  });

  it('a version in the path is the digest that must serve; names of other namespaces have a slash', async () => {
    expect((await infer({ inputs: [text] }, {}, `sql/versions/${'a'.repeat(12)}`)).status).toBe(200);
    expect((await infer({ inputs: [text] }, {}, 'sql/versions/1')).status).toBe(404);
    for (const name of ['team-a/sql', 'team-a%2Fsql']) await infer({ inputs: [text] }, {}, name);
    const asked = parts.serving.calls.slice(-2).map(({ context }) => [context.namespace, context.model]);
    expect(asked).toEqual(Array.from({ length: 2 }, () => ['team-a', 'team-a/sql']));
  });

  const id = { name: 'input_ids', shape: [1], datatype: 'INT64' };
  it.each<[string, unknown, RegExp]>([
    ['no input', {}, /inputs/],
    [
      'an unknown field',
      { inputs: [text], input: [] },
      /input is not known; the nearest known name is inputs/,
    ],
    ['an unknown field of an input', { inputs: [{ ...text, dtype: 1 }] }, /inputs\.0\.dtype is not known/],
    ['an input without data', { inputs: [{ ...text, data: undefined }] }, /neither data nor/],
    [
      'less data than the shape',
      { inputs: [{ ...id, shape: [2], data: [1] }] },
      /1 elements of data for shape \[2\]/,
    ],
    ['a number as text', { inputs: [{ ...text, data: [1] }] }, /not BYTES/],
    ['a broken number', { inputs: [{ ...id, data: [1.5] }] }, /not INT64, or not exact/],
    ['a number that JSON rounds', { inputs: [{ ...id, data: [2 ** 60] }] }, /not exact in JSON/],
    [
      'lists in lists without end',
      `{"inputs":[{"name":"text","shape":[1],"datatype":"BYTES","data":${'['.repeat(50_000)}${']'.repeat(50_000)}}]}`,
      /nested deeper than 256/,
    ],
    [
      'lists in lists as no tensor has them',
      `{"inputs":[{"name":"text","shape":[1],"datatype":"BYTES","data":${'['.repeat(100)}${']'.repeat(100)}}]}`,
      /more than 16 lists/,
    ],
    [
      'bytes that are not there',
      { inputs: [{ ...id, parameters: { binary_data_size: 8 } }] },
      /0 bytes are left/,
    ],
    ['data twice', { inputs: [{ ...id, data: [1], parameters: { binary_data_size: 0 } }] }, /as well/],
    ['another name than the path', { inputs: [text], model_name: 'upper' }, /model_name is "?upper/],
    ['an unknown parameter', { inputs: [text], parameters: { beam: 1 } }, /parameter beam is not known/],
    [
      'an unknown parameter of an input',
      { inputs: [{ ...text, parameters: { x: 1 } }] },
      /parameter x of input text/,
    ],
    [
      'a parameter that is a list',
      { inputs: [text], parameters: { stop: ['x'] } },
      /parameters\.stop must be/,
    ],
    ['an unknown output', { inputs: [text], outputs: [{ name: 'logits' }] }, /output logits is not known/],
    ['a body that is no JSON', '{', /not JSON/],
    ['a body that is a list', [], /body/],
  ])('%s is 400 with a message that names it', async (_, body, message) => {
    expect(await errorOf(await infer(body))).toEqual({
      status: 400,
      message: expect.stringMatching(message),
    });
  });

  it('bytes that belong to no input, and a head beyond the body, are refused', async () => {
    const left = await errorOf(await binary({ inputs: [text] }, Buffer.alloc(3)));
    expect(left).toEqual({ status: 400, message: expect.stringContaining('3 bytes behind the JSON') });
    for (const length of ['-1', '999', 'x']) {
      const response = await binary({ inputs: [text] }, Buffer.alloc(0), { [headLength]: length });
      expect((await errorOf(response)).message).toContain('the body has');
    }
  });

  it('a web page of another site cannot ask without asking first', async () => {
    const simple = { headers: { 'content-type': 'text/plain' } };
    expect((await errorOf(await infer({ inputs: [text] }, simple))).message).toContain(
      'content-type must be',
    );
    const page = await binary({ inputs: [text] }, Buffer.alloc(0), { origin: 'https://example.com' });
    expect((await errorOf(page)).message).toContain('content-type must be');
  });

  it('a tensor of more values than JSON may have is refused with what to do', async () => {
    const data = Array.from({ length: 3 * 512 * 512 }, () => 7);
    const inputs = [{ name: 'image', shape: [3, 512, 512], datatype: 'UINT8', data }];
    expect(await errorOf(await infer({ inputs }))).toEqual({
      status: 400,
      message: `the body has more than 500000 values. Send tensors as bytes behind the JSON (${headLength}).`,
    });
  });

  it('what is too large is refused', async () => {
    const large = await errorOf(await infer('x'.repeat(maxBodyBytes + 1)));
    expect(large.status).toBe(413);
  });

  it('a failure has its status, its code and when to retry', async () => {
    const response = await infer({ inputs: [text] }, {}, 'broken');
    expect(response.headers.get('x-adaptlet-error')).toBe('ADAPTER_NOT_AVAILABLE');
    expect(response.headers.get('retry-after')).toBe('2');
    await errorOf(response);
  });
});

describe('a graph of plain tensors', () => {
  const spec = { name: 'x', type: 'float32', shape: [-1] } as const;
  const plain = startFakeHttp();
  const tensors = { inputs: [spec], outputs: [spec], batching: false };
  plain.parts.serving.base = { ...plain.parts.serving.base, task: 'infer', tensors };
  const run = (body: unknown) => plain.post('/v2/models/tiny/infer', body);
  const x = { name: 'x', datatype: 'FP32', shape: [2], data: [1.5, -2] };

  it('answers with its own outputs', async () => {
    expect(await (await run({ inputs: [x] })).json()).toMatchObject({
      outputs: [{ name: 'x', datatype: 'FP32', shape: [2], data: [1.5, -2] }],
    });
  });

  it('numbers that JSON has not are refused unless bytes are wanted', async () => {
    const nan = Buffer.from(Float32Array.of(Number.NaN, 1).buffer);
    const head = Buffer.from(
      JSON.stringify({ inputs: [{ ...x, data: undefined, parameters: { binary_data_size: 8 } }] }),
    );
    const ask = (more: object) => {
      const json = Buffer.from(JSON.stringify({ ...(JSON.parse(head.toString()) as object), ...more }));
      return plain.app.request('/v2/models/tiny/infer', {
        method: 'POST',
        body: new Blob([json, Uint8Array.from(nan)]),
        headers: { [headLength]: String(json.length) },
      });
    };
    expect((await errorOf(await ask({}))).message).toContain('binary_data true');
    const bytes = Buffer.from(await (await ask({ parameters: { binary_data_output: true } })).arrayBuffer());
    expect(bytes.subarray(-8)).toEqual(nan);
  });

  it.each([
    ['INT8', 128],
    ['UINT8', -1],
    ['INT32', 2 ** 31],
    ['UINT64', -1],
  ])('an element that %s cannot hold is refused: %d', async (datatype, value) => {
    const response = await run({ inputs: [{ name: 'x', datatype, shape: [1], data: [value] }] });
    expect((await errorOf(response)).message).toContain('cannot hold');
  });
});

describe('the server and its models', () => {
  it('live, ready, and what it is', async () => {
    expect(await (await get('/health/live')).json()).toEqual({ live: true });
    expect((await get('/health/ready')).status).toBe(200);
    parts.serving.readiness = { ok: false, reason: 'loading' };
    expect((await get('/health/ready')).status).toBe(400);
    parts.serving.readiness = { ok: true, reason: '' };
    expect(await (await get('')).json()).toMatchObject({
      name: 'adaptlet',
      extensions: expect.arrayContaining(['model_repository', 'binary_tensor_data']),
    });
  });

  it('a model: ready or not, its tensors and its digest', async () => {
    expect((await get('/models/sql/ready')).status).toBe(200);
    for (const name of ['broken', 'unknown']) expect((await get(`/models/${name}/ready`)).status).toBe(400);
    expect(await (await get('/models/upper')).json()).toMatchObject({
      name: 'upper',
      versions: [fakeDigest('a')],
      outputs: [{}, { name: 'token_ids', datatype: 'INT64', shape: [1, -1] }, {}],
    });
    expect((await errorOf(await get('/models/nope'))).status).toBe(404);
    expect((await errorOf(await get('/nothing/here'))).status).toBe(404);
  });

  it('the repository: its index, load and unload', async () => {
    const index = await post('/v2/repository/index', { ready: true });
    expect(await index.json()).toHaveLength(4);
    expect(await (await post('/v2/repository/index', '')).json()).toHaveLength(5);
    parts.admin.told.length = 0;
    expect((await post('/v2/repository/models/upper/load', {})).status).toBe(200);
    const parameters = { unload_dependents: false };
    expect((await post('/v2/repository/models/upper/unload', { parameters })).status).toBe(200);
    expect(parts.admin.told).toEqual(['preload default/upper', 'evict default/upper']);
    const override = await post('/v2/repository/models/upper/load', { parameters: { config: '{}' } });
    expect((await errorOf(override)).message).toContain('parameter config is not supported');
  });
});
