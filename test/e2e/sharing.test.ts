import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import type { CallError } from '../support/client.ts';
import { TestNode } from '../support/node.ts';
import { waitFor } from '../support/wait.ts';

let node: TestNode | undefined;
afterEach(() => node?.dispose());

const head = 'apiVersion: adaptlet.io/v1alpha1';
const adapter = (namespace: string, name: string, path: string): string =>
  `${head}\nkind: Adapter\nmetadata: {name: ${name}, namespace: ${namespace}}\nspec: {baseModel: tiny, source: {path: {path: adapters/${path}}}}\n---\n`;
const policy = (namespace: string, limits: string): string =>
  `${head}\nkind: AdapterPolicy\nmetadata: {name: default, namespace: ${namespace}}\nspec: {clients: {anonymous: Allow}, limits: ${limits}}\n---\n`;

const start = async (manifests: readonly string[], settings: Record<string, string> = {}) => {
  const present = await TestNode.start({ settings });
  node = present;
  await present.write('all.yaml', manifests.join(''));
  const count = manifests.filter((one) => one.includes('kind: Adapter\n')).length;
  await waitFor('the adapters', async () => (await present.client.status()).adapters.length === count);
  return present;
};

const complete = (present: TestNode, namespace: string, maxTokens: number): Promise<Response> =>
  fetch(`${present.http}/v1/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-adaptlet-namespace': namespace },
    body: JSON.stringify({ model: 'own', prompt: 'moon:', max_tokens: maxTokens }),
  });

describe('a namespace that has used up its tokens', () => {
  it('hears 429 with the numbers and when to come again, and another one is answered', async () => {
    const present = await start([
      policy('greedy', '{tokensPerMinute: 12}'),
      adapter('greedy', 'own', 'upper'),
      adapter('modest', 'own', 'upper'),
    ]);
    expect((await complete(present, 'greedy', 8)).status).toBe(200);
    const refused = await complete(present, 'greedy', 8);
    expect(refused.status).toBe(429);
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(await refused.text()).toMatch(/NAMESPACE_TOKENS|12 tokens a minute/);
    const byGrpc = await present.client
      .ask({ namespace: 'greedy', model: 'own', prompt: 'moon:' })
      .catch((error: unknown) => error as CallError);
    expect(byGrpc).toMatchObject({ status: 8, code: 'NAMESPACE_TOKENS' });
    expect((await complete(present, 'modest', 8)).status).toBe(200);
    const metrics = await (await fetch(`${present.http}/metrics`)).text();
    expect(metrics).toContain(
      'adaptlet_namespace_refused_total{namespace="greedy",limit="tokensPerMinute"} 2',
    );
  });
});

describe('RAM that is guaranteed to a namespace', () => {
  it('keeps its adapters in RAM, whatever another one asks for; what cannot be guaranteed is told', async () => {
    const names = ['upper', 'reverse', 'digits', 'hello'];
    const present = await start(
      [
        policy('modest', '{adapterMemory: {guarantee: 70Ki}}'),
        policy('greedy', '{adapterMemory: {guarantee: 70Ki}, requests: {guarantee: 1}}'),
        adapter('modest', 'own', 'upper'),
        ...names.map((name) => adapter('greedy', name, name)),
      ],
      { 'adapter-memory': '100Ki' },
    );
    await present.client.ask({ namespace: 'modest', model: 'own', prompt: 'moon:' });
    for (let round = 0; round < 3; round += 1) {
      for (const model of names) await present.client.ask({ namespace: 'greedy', model, prompt: 'moon:' });
      const { adapters } = await present.client.status();
      expect(adapters.find(({ key }) => key === 'modest/own')?.state).toBe('Resident');
    }
    const { limits } = await present.client.status();
    expect(limits).toEqual([
      expect.stringMatching(/guarantee 143360 bytes of RAM of adapters, this node has 102400: .* 71 %/),
    ]);
  });
});

describe('disk of a namespace at its limit', () => {
  it('loses what it used longest ago for what it asks for, and it is refused while that is pinned', async () => {
    const names = ['upper', 'reverse', 'digits'];
    const adapters = names.map((name) => adapter('greedy', name, name));
    // By default what saves the least fetching for its bytes leaves first.
    const present = await start([...adapters, adapter('modest', 'own', 'upper')], {
      'eviction-policy': 'lru',
    });
    const ask = (model: string, namespace = 'greedy') =>
      present.client.ask({ namespace, model, prompt: 'moon:' });
    const stored = async (): Promise<Readonly<Record<string, number>>> => {
      const status = await present.client.status();
      return Object.fromEntries(status.adapters.map(({ key, storedBytes }) => [key, Number(storedBytes)]));
    };
    await ask('own', 'modest');
    for (const name of names) await ask(name);
    const before = await stored();
    const sizes = names.map((name) => before[`greedy/${name}`] ?? 0);
    // The one of `modest` is one of these.
    const compiled = await readdir(join(present.data, 'compiled'));
    for (const file of compiled) sizes.push((await stat(join(present.data, 'compiled', file))).size);
    expect(sizes.length).toBe(6);
    // Any two of them with their compiled files, and no three.
    const limit = sizes.reduce((sum, bytes) => sum + bytes, 0) - 1;
    await present.write('policy.yaml', policy('greedy', `{adapterDisk: {limit: "${limit}"}}`));
    await waitFor('the limit to be kept', async () => (await stored())['greedy/upper'] === 0);
    expect(await stored()).toMatchObject({ 'greedy/reverse': sizes[1], 'greedy/digits': sizes[2] });
    expect((await stored())['modest/own']).toBe(before['modest/own']);
    // It comes back in the place of the one that was used longest ago.
    await ask('upper');
    expect(await stored()).toMatchObject({ 'greedy/upper': sizes[0], 'greedy/reverse': 0 });
    const pinned = ['upper', 'digits'].map((name) =>
      adapter('greedy', name, name).replace('spec: {', 'spec: {pinned: true, '),
    );
    await present.write('all.yaml', [...pinned, adapters[1], adapter('modest', 'own', 'upper')].join(''));
    await waitFor('the pins', async () =>
      (await present.client.status()).adapters.every(({ key, pinned: isPinned }) =>
        ['greedy/upper', 'greedy/digits'].includes(key) ? isPinned : true,
      ),
    );
    const refused = await ask('reverse').catch((error: unknown) => error as CallError);
    expect(refused).toMatchObject({ status: 8, code: 'NAMESPACE_ADAPTER_DISK' });
    const metrics = await (await fetch(`${present.http}/metrics`)).text();
    expect(metrics).toContain(`adaptlet_namespace_limit{namespace="greedy",limit="adapterDisk"} ${limit}`);
    expect(metrics).toContain('adaptlet_namespace_refused_total{namespace="greedy",limit="adapterDisk"} 1');
  });
});
