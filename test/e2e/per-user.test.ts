import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { moon } from '../support/moon.ts';
import { TestNode, tiny } from '../support/node.ts';
import { folderOfTests } from '../support/temporary-folder.ts';
import { waitFor } from '../support/wait.ts';

const head = 'apiVersion: adaptlet.io/v1alpha1';
const policy = (spec: string): string =>
  `${head}\nkind: AdapterPolicy\nmetadata: {name: default}\nspec: {clients: {anonymous: Allow}, ${spec}}\n`;
const route = `${head}
kind: AdapterRoute
metadata: {name: personal}
spec:
  model: personal
  rules:
  - name: strict
    matches: [{headers: [{name: x-strict, value: "yes"}]}]
    perUser: {baseModel: tiny, source: {path: {path: "people/{user}"}}}
  - name: own
    perUser: {baseModel: tiny, source: {path: {path: "people/{user}"}}}
    fallback: [{base: true}]
---
${head}
kind: Adapter
metadata: {name: kept, namespace: modest}
spec: {baseModel: tiny, source: {path: {path: people/upper}}}
---
${head}
kind: AdapterPolicy
metadata: {name: default, namespace: modest}
spec: {clients: {anonymous: Allow}}
`;
/** Each has the adapter of their name. */
const people = ['upper', 'reverse', 'digits', 'hello'] as const;
const allowed = 'sources: {paths: [people]}';

let node: TestNode;
const root = folderOfTests();

beforeAll(async () => {
  for (const name of people)
    await cp(join(tiny.adapters, name), join(root, 'people', name), { recursive: true });
  node = await TestNode.start({ importRoots: root });
  await node.write('policy.yaml', policy(allowed));
  await node.write('route.yaml', route);
  await waitFor('the route', async () => (await node.client.status()).routes.some((one) => one.accepted));
});
afterAll(async () => {
  await node.dispose();
});

const ask = (user: string, headers: Readonly<Record<string, string>> = {}, namespace?: string) =>
  node.client.ask({
    model: namespace === undefined ? 'personal' : 'kept',
    prompt: 'moon:',
    user,
    headers,
    ...(namespace === undefined ? {} : { namespace }),
  });
const strict = { 'x-strict': 'yes' };
const inForce = async (spec: string, look: () => Promise<boolean>): Promise<void> => {
  await node.write('policy.yaml', policy(spec));
  await waitFor(`the policy ${spec}`, look);
};
const isRefused = async (user: string, headers = {}): Promise<string> => {
  const { code } = await ask(user, headers).then(
    () => ({ code: '' }),
    (error: unknown) => error as { readonly code: string },
  );
  return code;
};

describe('an adapter for each user', () => {
  it('answers its user, and the base model whoever has none', async () => {
    for (const user of people) {
      const { text, served } = await ask(user);
      expect([text, served.rule]).toEqual([moon[user], 'own']);
    }
    expect(await ask('nobody')).toMatchObject({ text: moon.base, served: { arm: 'base', rule: 'own' } });
    expect(await isRefused('nobody', strict)).toBe('ADAPTER_NOT_AVAILABLE');
  });

  it('is not fetched from where the policy does not let it come from: the fallback answers, else an error says so', async () => {
    const isDenied = async () => (await isRefused('upper', strict)) === 'SOURCE_NOT_ALLOWED';
    await inForce('sources: {paths: [others]}', isDenied);
    expect(await ask('upper')).toMatchObject({ text: moon.base, served: { arm: 'base' } });
    await inForce(allowed, async () => (await ask('upper')).text === moon.upper);
  });

  it('has no fallback to a base model that the policy denies', async () => {
    const isDenied = async () => (await isRefused('nobody')) !== '';
    await inForce(`${allowed}, base: Deny`, isDenied);
    expect((await ask('upper')).text).toBe(moon.upper);
    await expect(ask('nobody')).rejects.toThrow('spec.base: Deny');
    await inForce(allowed, async () => (await ask('nobody')).text === moon.base);
  });

  it('takes no more RAM than the limit of its namespace, for any number of users, and nothing of another namespace', async () => {
    const residentIn = async (namespace: string) => {
      const { adapters } = await node.client.status();
      return adapters.filter(({ key, state }) => key.startsWith(`${namespace}/`) && state === 'Resident');
    };
    await ask('', {}, 'modest');
    await ask('upper');
    const sizes = (await residentIn('default')).map(({ residentBytes }) => Number(residentBytes));
    const limit = 2 * Math.max(...sizes);
    await inForce(`${allowed}, limits: {adapterMemory: {limit: "${limit}"}}`, async () => {
      const resident = await residentIn('default');
      return resident.reduce((sum, { residentBytes }) => sum + Number(residentBytes), 0) <= limit;
    });
    for (let round = 0; round < 3; round++)
      for (const user of people) {
        expect((await ask(user)).text).toBe(moon[user]);
        const resident = await residentIn('default');
        expect(resident.reduce((sum, one) => sum + Number(one.residentBytes), 0)).toBeLessThanOrEqual(limit);
      }
    expect(await residentIn('modest')).toHaveLength(1);
  });

  it('that may take no RAM at all leaves its user to the fallback', async () => {
    await inForce(
      `${allowed}, limits: {adapterMemory: {limit: "1"}}`,
      async () => (await ask('upper')).text === moon.base,
    );
    expect(await isRefused('upper', strict)).not.toBe('');
    await inForce(allowed, async () => (await ask('upper')).text === moon.upper);
  });
});
