import { Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ObjectKey } from '../../api/names.ts';
import { GenerateRequest, type GenerateResponse } from '../../gen/adaptlet/inference/v1/inference.ts';
import { adapterResource } from '../../plan/resources.fixture.ts';
import { callersWith, sha256, tableOf } from '../callers/policies.fixture.ts';
import { resolve } from '../routing/names.ts';
import type { ModelCard } from '../serving/serving.ts';
import { FakeServing } from './testing/fake-serving.ts';
import { unaryCall } from './testing/grpc-client.ts';
import { certificateFor, newAuthority, startSecure } from './testing/secure-servers.ts';

const policies = {
  'team-a': {
    apiKeys: [
      { name: 'app', sha256: sha256('adk_app') },
      { name: 'ops', sha256: sha256('adk_ops'), rights: ['Lifecycle' as const] },
      { name: 'gw', sha256: sha256('adk_gw'), rights: ['Users' as const, 'Priority' as const] },
      { name: 'near', sha256: sha256('adk_near'), from: ['127.0.0.0/8'] },
      { name: 'far', sha256: sha256('adk_far'), from: ['10.0.0.0/8'] },
    ],
    certificates: [{ name: 'box', commonName: 'box.team-a' }],
  },
  'team-b': { apiKeys: [{ name: 'app', sha256: sha256('adk_b') }] },
};

/** What each name stands for is looked up as a node does, and written down. */
class NamedServing extends FakeServing {
  readonly lookedUp: string[] = [];
  readonly #table = tableOf(
    policies,
    adapterResource('team-a/upper' as ObjectKey),
    adapterResource('team-b/secret' as ObjectKey),
  );

  override models(namespace: string): readonly ModelCard[] {
    this.lookedUp.push(namespace);
    const names = this.#table.namespaces.get(namespace)?.adapters.keys() ?? [];
    return [...names].map((name) => ({ ...super.model(namespace, 'upper'), id: name }));
  }

  override model(namespace: string, name: string): ModelCard {
    this.lookedUp.push(`${namespace} ${name}`);
    resolve(this.#table, namespace, name);
    return super.model(namespace, 'upper');
  }
}

const serving = new NamedServing();
let node: Awaited<ReturnType<typeof startSecure>>;
let grpc: ReturnType<typeof node.dial>;
beforeAll(async () => {
  const { identify } = callersWith(policies, { anonymous: 'allow' });
  node = await startSecure({ identify, serving });
  grpc = node.dial();
});
afterAll(async () => {
  await node[Symbol.asyncDispose]();
});

const bearer = (key: string) => ({ authorization: `Bearer ${key}` });
const metadataOf = (headers: Readonly<Record<string, string>>): Metadata => {
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
  return metadata;
};
const completion = (model: string, more: object = {}) => ({ model, prompt: 'abc', ...more });

/** The answer as one text, or the error. */
const generate = (
  request: Partial<GenerateRequest>,
  headers: Readonly<Record<string, string>>,
  { inference } = grpc,
): Promise<string> =>
  new Promise((resolveText, reject) => {
    const whole = GenerateRequest.fromPartial({
      model: 'upper',
      prompt: { $case: 'text', value: 'abc' },
      ...request,
    });
    const stream = inference.generate(whole, metadataOf(headers));
    let text = '';
    stream.on('data', ({ event }: GenerateResponse) => {
      if (event?.$case === 'tokens') text += event.value.text;
    });
    stream.on('end', () => resolveText(text));
    stream.on('error', reject);
  });

const refusalOf = (asked: Promise<unknown>): Promise<ServiceError> =>
  asked.then(
    () => Promise.reject(new Error('it was answered')),
    (error: unknown) => error as ServiceError,
  );
const codeOf = ({ metadata }: ServiceError): unknown => metadata.get('x-adaptlet-error')[0];

describe('who has a key', () => {
  it('is answered on both ports, as itself', async () => {
    const answer = await node.ask({
      path: '/v1/completions',
      headers: { ...bearer('adk_app'), 'x-adaptlet-user': 'eve' },
      body: completion('upper', { user: 'eve' }),
    });
    expect(answer.status).toBe(200);
    expect(await generate({ user: 'eve', session: 's' }, bearer('adk_app'))).toBe('ABC');
    for (const { context } of serving.calls.slice(-2)) {
      expect(context).toMatchObject({ namespace: 'team-a', caller: 'team-a/app', user: 'app' });
      expect(context).not.toHaveProperty('session');
      expect([...context.headers.keys()]).not.toContain('authorization');
    }
  });

  it('is counted by its name', async () => {
    await node.ask({ path: '/v1/completions', headers: bearer('adk_app'), body: completion('upper') });
    expect(await node.parts.telemetry.metricsText()).toMatch(
      /adaptlet_caller_requests_total\{caller="team-a\/app",code="OK"\} \d/,
    );
  });

  it('may be a gateway that says for whom it asks, and how urgently', async () => {
    const headers = { ...bearer('adk_gw'), 'x-adaptlet-user': 'anna', 'x-adaptlet-priority': '7' };
    expect(await generate({}, headers)).toBe('ABC');
    expect(serving.calls.at(-1)?.context).toMatchObject({ user: 'anna', priority: 7 });
    const refusal = await refusalOf(generate({}, { ...headers, ...bearer('adk_app') }));
    expect(refusal).toMatchObject({ code: status.PERMISSION_DENIED });
    expect(codeOf(refusal)).toBe('FORBIDDEN');
  });

  it('is known by the address of its connection', async () => {
    const statusOf = async (key: string) =>
      (await node.ask({ path: '/v1/models', headers: { 'x-api-key': key, 'x-forwarded-for': '10.0.0.1' } }))
        .status;
    expect([await statusOf('adk_near'), await statusOf('adk_far')]).toEqual([200, 401]);
    expect(await generate({}, { 'x-api-key': 'adk_near' })).toBe('ABC');
    expect(await refusalOf(generate({}, { 'x-api-key': 'adk_far' }))).toMatchObject({
      code: status.UNAUTHENTICATED,
    });
  });
});

describe('who has a certificate', () => {
  it('is known by it on both ports; a key decides over it', async () => {
    const client = await certificateFor(node.clients, 'box.team-a');
    const own = node.dial(client);
    expect(await generate({}, {}, own)).toBe('ABC');
    expect(serving.calls.at(-1)?.context.caller).toBe('team-a/box');
    await node.ask({ path: '/v1/completions', body: completion('upper'), client });
    expect(serving.calls.at(-1)?.context.caller).toBe('team-a/box');
    await node.ask({
      path: '/v1/completions',
      headers: bearer('adk_app'),
      body: completion('upper'),
      client,
    });
    expect(serving.calls.at(-1)?.context.caller).toBe('team-a/app');
  });

  it('of another authority has none', async () => {
    const client = await certificateFor(await newAuthority('strangers'), 'box.team-a');
    const headers = { 'x-adaptlet-namespace': 'team-a' };
    const answer = await node.ask({ path: '/v1/completions', headers, body: completion('upper'), client });
    expect(answer.status).toBe(401);
    expect(await refusalOf(generate({}, headers, node.dial(client)))).toMatchObject({
      code: status.UNAUTHENTICATED,
    });
  });
});

describe('who has none, or a wrong one', () => {
  it("is refused with OpenAI's body and the status of each protocol", async () => {
    const answer = await node.ask({
      path: '/v1/completions',
      headers: { 'x-adaptlet-namespace': 'team-a' },
      body: completion('upper'),
    });
    expect(answer).toMatchObject({
      status: 401,
      headers: { 'x-adaptlet-error': 'UNAUTHENTICATED', 'www-authenticate': 'Bearer' },
      body: {
        error: {
          type: 'authentication_error',
          param: null,
          code: 'unauthenticated',
          message: expect.any(String),
        },
      },
    });
    const refusal = await refusalOf(generate({ namespace: 'team-a' }, {}));
    expect(refusal).toMatchObject({ code: status.UNAUTHENTICATED });
    expect(codeOf(refusal)).toBe('UNAUTHENTICATED');
  });

  it('a wrong key is refused where a request without one is answered', async () => {
    const body = completion('upper');
    const anonymous = { 'x-adaptlet-namespace': 'team-c' };
    expect((await node.ask({ path: '/v1/models', headers: anonymous })).status).toBe(200);
    for (const path of [
      '/v1/completions',
      '/v1/chat/completions',
      '/v1/embeddings',
      '/v1/classify',
      '/v1/responses',
      '/v1/feedback',
      '/v1/load_lora_adapter',
      '/v1/unload_lora_adapter',
    ]) {
      const answer = await node.ask({ path, headers: { ...anonymous, ...bearer('adk_wrong') }, body });
      expect([path, answer.status]).toEqual([path, 401]);
    }
    for (const path of ['/v1/models', '/v1/models/upper']) {
      expect((await node.ask({ path, headers: { ...anonymous, ...bearer('adk_wrong') } })).status).toBe(401);
    }
  });

  it('no call of gRPC but those for health takes a wrong key', async () => {
    const wrong = metadataOf(bearer('adk_wrong'));
    const { oip, inference } = grpc;
    const named = { name: 'upper', version: '' };
    const repository = { repositoryName: '', modelName: 'upper', parameters: {} };
    const infer = {
      modelName: 'upper',
      modelVersion: '',
      id: '',
      parameters: {},
      inputs: [],
      outputs: [],
      rawInputContents: [],
    };
    const texts = { model: 'upper', namespace: '', user: '', session: '', inputs: [] };
    const calls: Promise<unknown>[] = [
      unaryCall((cb) => oip.modelReady(named, wrong, cb)),
      unaryCall((cb) => oip.modelMetadata(named, wrong, cb)),
      unaryCall((cb) => oip.modelInfer(infer, wrong, cb)),
      unaryCall((cb) => oip.repositoryIndex({ repositoryName: '', ready: false }, wrong, cb)),
      unaryCall((cb) => oip.repositoryModelLoad(repository, wrong, cb)),
      unaryCall((cb) => oip.repositoryModelUnload(repository, wrong, cb)),
      unaryCall((cb) => inference.embed(texts, wrong, cb)),
      unaryCall((cb) => inference.classify(texts, wrong, cb)),
      unaryCall((cb) => inference.feedback({ id: 'r1', reward: 1 }, wrong, cb)),
      generate({}, bearer('adk_wrong')),
    ];
    const codes = await Promise.all(calls.map(async (call) => (await refusalOf(call)).code));
    expect(codes).toEqual(calls.map(() => status.UNAUTHENTICATED));
    await unaryCall((cb) => oip.serverLive({}, wrong, cb));
    await unaryCall((cb) => oip.serverReady({}, wrong, cb));
    expect((await node.ask({ path: '/livez', headers: bearer('adk_wrong') })).status).toBe(200);
    expect((await node.ask({ path: '/readyz' })).status).toBe(200);
  });
});

describe('names of another namespace', () => {
  const both = ['team-b/secret', 'team-b/nothing'] as const;
  const without = (text: string, model: string): string => text.replaceAll(model, '*');

  it('get the same answer whether there are any or not, and are not looked up', async () => {
    const before = serving.lookedUp.length;
    const told = async (model: string): Promise<unknown[]> => {
      const headers = bearer('adk_app');
      const [, name = ''] = model.split('/');
      const asked = await Promise.all([
        node.ask({ path: '/v1/completions', headers, body: completion(model) }),
        node.ask({
          path: '/v1/completions',
          headers: { ...headers, 'x-adaptlet-namespace': 'team-b' },
          body: completion(name),
        }),
        node.ask({ path: `/v1/models/${model}`, headers }),
      ]);
      const metadata = metadataOf(headers);
      const refused = await Promise.all(
        [
          generate({ model }, headers),
          generate({ model: name, namespace: 'team-b' }, headers),
          unaryCall((cb) => grpc.oip.modelReady({ name: model, version: '' }, metadata, cb)),
          unaryCall((cb) => grpc.oip.modelMetadata({ name: model, version: '' }, metadata, cb)),
          unaryCall((cb) =>
            grpc.oip.repositoryModelLoad(
              { repositoryName: '', modelName: model, parameters: {} },
              metadata,
              cb,
            ),
          ),
        ].map((call) => refusalOf(call)),
      );
      return [
        ...asked.map(({ status: code, body }) => [code, without(JSON.stringify(body), model)]),
        ...refused.map(({ code, details }) => [code, without(details, model)]),
      ];
    };
    const [there, absent] = [await told(both[0]), await told(both[1])];
    expect(there).toEqual(absent);
    expect(there.map((one) => (one as unknown[])[0])).toEqual([403, 403, 403, 7, 7, 7, 7, 7]);
    expect(serving.lookedUp).toHaveLength(before);
  });

  it('are in no list and no suggestion', async () => {
    const listed = await node.ask({ path: '/v1/models', headers: bearer('adk_app') });
    expect(JSON.stringify(listed.body)).toContain('upper');
    const wrong = await node.ask({
      path: '/v1/completions',
      headers: bearer('adk_app'),
      body: completion('secret'),
    });
    const index = await unaryCall((cb) =>
      grpc.oip.repositoryIndex({ repositoryName: '', ready: false }, metadataOf(bearer('adk_app')), cb),
    );
    expect(wrong).toMatchObject({ status: 404 });
    for (const told of [listed.body, index.response]) expect(JSON.stringify(told)).not.toContain('secret');
    expect(JSON.stringify(wrong.body)).toMatch(/it has upper|nearest name/);
    expect(JSON.stringify(wrong.body).match(/secret/g)).toHaveLength(1);
    const other = unaryCall((cb) =>
      grpc.oip.repositoryIndex({ repositoryName: 'team-b', ready: false }, metadataOf(bearer('adk_app')), cb),
    );
    expect(await refusalOf(other)).toMatchObject({ code: status.PERMISSION_DENIED });
  });
});

describe('loading and unloading', () => {
  const ask = (verb: 'repositoryModelLoad' | 'repositoryModelUnload', key: string, modelName = 'upper') =>
    unaryCall((cb) =>
      grpc.oip[verb]({ repositoryName: '', modelName, parameters: {} }, metadataOf(bearer(key)), cb),
    );

  it('need the right Lifecycle, and then also reach what is pinned', async () => {
    const { admin } = node.parts;
    admin.told.length = 0;
    admin.pinned = true;
    for (const verb of ['repositoryModelLoad', 'repositoryModelUnload'] as const) {
      expect(await refusalOf(ask(verb, 'adk_app'))).toMatchObject({ code: status.PERMISSION_DENIED });
      expect(await refusalOf(ask(verb, 'adk_ops', 'team-b/secret'))).toMatchObject({
        code: status.PERMISSION_DENIED,
      });
      await ask(verb, 'adk_ops');
    }
    admin.pinned = false;
    expect(admin.told).toEqual(['preload team-a/upper', 'evict team-a/upper']);
  });
});
