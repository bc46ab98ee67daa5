import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { newKey } from '../../../src/cli/key.ts';
import { clusterAdapter, TestFleet } from '../../support/fleet.ts';
import { moon } from '../../support/moon.ts';
import { waitFor } from '../../support/wait.ts';

// vLLM's calls where the plan of a node comes from an operator.
const [ops, app] = [newKey('ops'), newKey('app')];
let fleet: TestFleet;

beforeAll(async () => {
  fleet = await TestFleet.start({
    replicas: 1,
    runtimes: 1,
    nodeSettings: { 'lora-loading': 'true' },
  });
  const apiKeys = [
    { name: 'ops', sha256: ops.sha256, rights: ['Lifecycle'] },
    { name: 'app', sha256: app.sha256 },
  ];
  await fleet.apply(
    JSON.stringify({
      apiVersion: 'adaptlet.io/v1alpha1',
      kind: 'AdapterPolicy',
      metadata: { name: 'default' },
      spec: { clients: { apiKeys } },
    }),
  );
  // One that the plan has from the beginning, and one that comes into it with the first request.
  await fleet.apply(await clusterAdapter('reverse', 'adapters/reverse', '  preload: {tier: Disk}\n'));
  await fleet.apply(await clusterAdapter('upper', 'adapters/upper'));
  await waitFor('the keys', async () => (await load('upper', app.key)).status === 403, 60_000);
  await waitFor('the plan', async () => (await modelsOf()).includes('reverse'), 60_000);
});
afterAll(() => fleet[Symbol.asyncDispose]());

const node = () => fleet.nodes[0] ?? expect.fail('there is no node');
const post = async (path: string, body: object, key: string | undefined = ops.key) => {
  const response = await fetch(`${node().http}${path}`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      ...(key === undefined ? {} : { authorization: `Bearer ${key}` }),
    },
    body: JSON.stringify(body),
  });
  return { status: response.status, text: await response.text() };
};
/** The path is nothing that there is: with an operator nobody reads it. */
const load = (name: string, key?: string) =>
  post('/v1/load_lora_adapter', { lora_name: name, lora_path: '/nowhere' }, key);
const unload = (name: string, key?: string) => post('/v1/unload_lora_adapter', { lora_name: name }, key);
const answerOf = async (model: string): Promise<unknown> => {
  const body = { model, prompt: 'moon:', max_tokens: 16, temperature: 0 };
  const { status, text } = await post('/v1/completions', body, app.key);
  return status === 200 ? JSON.parse(text).choices[0].text : status;
};
const modelsOf = async (): Promise<readonly string[]> => {
  const headers = { authorization: `Bearer ${app.key}` };
  const response = await fetch(`${node().http}/v1/models`, { headers });
  if (!response.ok) return [];
  const { data } = (await response.json()) as { readonly data: readonly { readonly id: string }[] };
  return data.map(({ id }) => id);
};
const states = async () => (await node().client.status()).adapters.map(({ key, state }) => ({ key, state }));
/** Adapters that are in RAM. */
const resident = async (): Promise<readonly string[]> =>
  (await states()).flatMap(({ key, state }) => (state === 'Resident' ? [key.split('/')[1] ?? ''] : []));

describe("vLLM's calls on a node that follows an operator", () => {
  it('are for callers with the right Lifecycle, and do nothing for others', async () => {
    expect(await load('upper', app.key)).toMatchObject({
      status: 403,
      text: expect.stringContaining('Lifecycle'),
    });
    expect((await load('upper', newKey('stranger').key)).status).toBe(401);
    expect(await resident()).toEqual([]);
  });

  it.each(['reverse', 'upper'] as const)(
    'load an Adapter of the operator into RAM, whatever the path, and unload it from there; its name stays: %s',
    async (name) => {
      expect(await load(name)).toEqual({
        status: 200,
        text: `Success: LoRA adapter '${name}' added successfully.`,
      });
      expect(await resident()).toEqual([name]);
      expect(await answerOf(name)).toBe(moon[name]);
      expect((await unload(name, app.key)).status).toBe(403);
      expect(await resident()).toEqual([name]);

      const unloaded = { status: 200, text: `Success: LoRA adapter '${name}' removed successfully.` };
      expect(await unload(name)).toEqual(unloaded);
      expect(await resident()).toEqual([]);
      expect(await modelsOf()).toContain(name);
      // Who asks for it brings it back: the plan has it.
      expect(await answerOf(name)).toBe(moon[name]);
      expect(await resident()).toEqual([name]);
      expect(await unload(name)).toEqual(unloaded);
    },
  );

  it('refuse what the plan lacks, and say how it gets there', async () => {
    const refused = await load('digits');
    expect(refused.status).toBe(503);
    expect(JSON.parse(refused.text)).toMatchObject({
      error: { code: 'verb_refused', message: expect.stringContaining('Apply an Adapter') },
    });
    expect((await unload('digits')).status).toBe(404);
    await fleet.apply(await clusterAdapter('digits', 'adapters/digits'));
    await waitFor('the plan to have it', async () => (await load('digits')).status === 200);
    expect(await resident()).toContain('digits');
    expect(await answerOf('digits')).toBe(moon.digits);
  });

  it('change nothing of the cluster: the Adapters are as they were applied', async () => {
    type Adapter = { readonly metadata: { readonly generation: number } };
    for (const name of ['upper', 'digits'])
      expect((await fleet.get<Adapter>('ad', name))?.metadata.generation).toBe(1);
  });
});
